package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// guestbook is a front end before a back end before a database with a password.
type guestbook struct {
	database          *miniredis.Miniredis
	password          string // the file
	frontend, backend string // URLs
}

func newGuestbook(t *testing.T) *guestbook {
	t.Helper()
	g := &guestbook{database: miniredis.RunT(t), password: filepath.Join(t.TempDir(), "password")}
	g.setPassword(t, "first")
	store := newStore(g.database.Addr(), g.password)
	t.Cleanup(store.close)
	g.backend = start(t, &app{me: identity{Role: "backend", Pod: "b-1"}, store: store})
	g.frontend = start(t, &app{me: identity{Role: "frontend", Pod: "f-1"}, backend: newBackendClient(g.backend)})
	return g
}

func (g *guestbook) setPassword(t *testing.T, password string) {
	t.Helper()
	g.database.RequireAuth(password)
	if err := os.WriteFile(g.password, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// post returns the status and body of an answer to JSON.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func (g *guestbook) read(t *testing.T) entries {
	t.Helper()
	var found entries
	status, body := get(t, g.frontend+"/entries?limit=1000")
	if err := json.Unmarshal([]byte(body), &found); err != nil || status != 200 {
		t.Fatalf("%d %q: %v", status, body, err)
	}
	return found
}

func TestEntriesAreWrittenAndRead(t *testing.T) {
	g := newGuestbook(t)
	if found := g.read(t); found.Total != 0 || found.Entries == nil {
		t.Errorf("at first: %+v", found)
	}
	for _, text := range []string{"one", "two"} {
		if status, body := post(t, g.frontend+"/entries", `{"name": " Ann ", "text": "`+text+`"}`); status != 201 {
			t.Fatalf("%d %s", status, body)
		}
	}
	found := g.read(t)
	newest := found.Entries[0]
	if found.Total != 2 || newest.Text != "two" || newest.Name != "Ann" || newest.Number != 2 || newest.Writer != "b-1" {
		t.Errorf("%+v", found)
	}
	if newest.At.IsZero() || newest.At.Location().String() != "UTC" {
		t.Errorf("at %v", newest.At)
	}
	if _, body := get(t, g.frontend+"/entries?limit=1"); strings.Contains(body, "one") || !strings.Contains(body, `"total":2`) {
		t.Errorf("limited: %s", body)
	}
}

func TestRefusedEntries(t *testing.T) {
	g := newGuestbook(t)
	long := strings.Repeat("é", 401)
	cases := map[string]struct {
		body   string
		status int
		want   string
	}{
		"no name":      {`{"text": "x"}`, 400, "name: 1 to 40"},
		"blank text":   {`{"name": "x", "text": "  "}`, 400, "text: 1 to 400"},
		"long text":    {`{"name": "x", "text": "` + long + `"}`, 400, "not 401"},
		"no JSON":      {`name=x`, 400, "error"},
		"far too long": {`{"name": "` + strings.Repeat("x", 1<<15) + `"}`, 413, "error"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, base := range []string{g.frontend, g.backend} {
				if status, body := post(t, base+"/entries", c.body); status != c.status || !strings.Contains(body, c.want) {
					t.Errorf("%d %s, want %d and %q", status, body, c.status, c.want)
				}
			}
		})
	}
	if found := g.read(t); found.Total != 0 {
		t.Errorf("written nevertheless: %+v", found)
	}
}

func TestThePageShowsEntriesAndTakesThem(t *testing.T) {
	g := newGuestbook(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	cases := []struct {
		name   string
		form   url.Values
		status int
	}{
		{"good", url.Values{"name": {"Eve"}, "text": {"<script>alert(1)</script>"}}, 303},
		{"empty", url.Values{"name": {"Eve"}}, 400},
	}
	for _, c := range cases {
		response, err := client.PostForm(g.frontend+"/", c.form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.name, response.StatusCode, body)
		}
		if c.status == 400 && !strings.Contains(string(body), "Not written: text: 1 to 400") {
			t.Errorf("%s: %s", c.name, body)
		}
	}
	_, page := get(t, g.frontend+"/")
	if !strings.Contains(page, "&lt;script&gt;") || strings.Contains(page, "<script>") || !strings.Contains(page, "1 entry") {
		t.Errorf("page: %s", page)
	}
}

// A back end gives no page with entries of its own: people come to the front end.
func TestTheBackEndTakesNoForm(t *testing.T) {
	g := newGuestbook(t)
	if status, _ := post(t, g.backend+"/", "name=x&text=y"); status != http.StatusMethodNotAllowed {
		t.Errorf("%d", status)
	}
}

func TestALostDatabaseIsToldAndComesBack(t *testing.T) {
	g := newGuestbook(t)
	if status, _ := post(t, g.frontend+"/entries", `{"name": "a", "text": "b"}`); status != 201 {
		t.Fatal(status)
	}
	address := g.database.Addr()
	g.database.Close()
	if status, body := get(t, g.frontend+"/entries"); status != 503 || !strings.Contains(body, "the database does not answer") {
		t.Errorf("reading: %d %s", status, body)
	}
	if status, _ := post(t, g.frontend+"/entries", `{"name": "a", "text": "b"}`); status != 503 {
		t.Errorf("writing: %d", status)
	}
	if status, body := get(t, g.frontend+"/"); status != 200 || !strings.Contains(body, "No entries: the database") {
		t.Errorf("page: %d %s", status, body)
	}
	if err := g.database.StartAddr(address); err != nil {
		t.Fatal(err)
	}
	if found := g.read(t); found.Total != 1 {
		t.Errorf("afterwards: %+v", found)
	}
}

// The password is read for each new connection: a new one needs no new pod.
func TestANewPasswordIsUsed(t *testing.T) {
	g := newGuestbook(t)
	g.setPassword(t, "second")
	store := newStore(g.database.Addr(), g.password)
	defer store.close()
	if _, err := store.list(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(g.password, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := newStore(g.database.Addr(), g.password)
	defer wrong.close()
	if _, err := wrong.list(t.Context(), 1); err == nil {
		t.Error("a wrong password was taken")
	}
}

func TestOldEntriesAreForgotten(t *testing.T) {
	g := newGuestbook(t)
	store := newStore(g.database.Addr(), g.password)
	defer store.close()
	for range maxKept + 2 {
		if _, err := store.add(t.Context(), entry{Name: "a", Text: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if found := g.read(t); found.Total != maxKept || found.Entries[0].Number != maxKept+2 {
		t.Errorf("%d, newest %+v", found.Total, found.Entries[0])
	}
}

func TestPrintEntries(t *testing.T) {
	g := newGuestbook(t)
	post(t, g.frontend+"/entries", `{"name": "Ann", "text": "hello"}`)
	var out bytes.Buffer
	err := run([]string{"entries", "-database", g.database.Addr(), "-password-file", g.password}, &out)
	if err != nil || !strings.Contains(out.String(), `"text": "hello"`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestABrokenEntryIsTold(t *testing.T) {
	g := newGuestbook(t)
	if _, err := g.database.Lpush(entriesKey, "no JSON"); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, g.frontend+"/entries"); status != 503 || !strings.Contains(body, "broken") {
		t.Errorf("%d %s", status, body)
	}
}
