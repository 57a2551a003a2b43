package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// get returns the status and body of a GET.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func start(t *testing.T, a *app) string {
	t.Helper()
	server := httptest.NewServer(a.routes())
	t.Cleanup(server.Close)
	return server.URL
}

func TestRoutes(t *testing.T) {
	backend := start(t, &app{me: identity{Role: "backend", Version: "1", Pod: "b-1"}})
	good := &app{me: identity{Role: "frontend", Version: "2", Pod: "f-1"}, backend: newBackendClient(backend)}
	good.ready.Store(true)
	bad := &app{me: identity{Role: "frontend", Pod: "f-2"}, backend: newBackendClient("http://127.0.0.1:1")}
	t.Cleanup(bad.ballast.release)
	goodURL, badURL := start(t, good), start(t, bad)
	cases := map[string]struct {
		url    string
		status int
		want   string
	}{
		"page shows both pods":           {goodURL + "/", 200, "b-1"},
		"page shows the version":         {goodURL + "/", 200, "<td>2</td>"},
		"page survives a lost back end":  {badURL + "/", 200, "does not answer"},
		"api of the back end":            {backend + "/api", 200, `"role":"backend"`},
		"api without the back end":       {badURL + "/api", 502, `"error"`},
		"healthy":                        {badURL + "/healthz", 200, "ok"},
		"ready":                          {goodURL + "/readyz", 200, "ready"},
		"not ready":                      {badURL + "/readyz", 503, "draining"},
		"load":                           {goodURL + "/load?ms=5", 200, "burnt 5ms"},
		"load refuses words":             {goodURL + "/load?ms=much", 400, "ms:"},
		"load refuses too much":          {goodURL + "/load?ms=60000", 400, "5000"},
		"load refuses an overflow":       {goodURL + "/load?ms=9223372036854775807", 400, "ms:"},
		"load refuses a negative length": {goodURL + "/load?ms=-1", 400, "ms:"},
		"memory":                         {badURL + "/memory?mb=2&ms=10", 200, "holds 2 MiB for 10ms"},
		"memory refuses too much":        {badURL + "/memory?mb=65", 400, "mb: a number from 0 to 64"},
		"memory refuses too long":        {badURL + "/memory?ms=60001", 400, "ms: a number from 0 to 60000"},
		"no database":                    {backend + "/entries", 503, "no database"},
		"front end without a database":   {goodURL + "/entries", 503, "no database"},
		"page without a database":        {goodURL + "/", 200, "No entries: no database"},
		"entries without a back end":     {badURL + "/entries", 502, "the back end does not answer"},
		"entries refuse a wrong limit":   {backend + "/entries?limit=1001", 400, "limit:"},
		"unknown path":                   {goodURL + "/nothing", 404, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			status, body := get(t, c.url)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%s: %d %q, want %d and %q", c.url, status, body, c.status, c.want)
			}
		})
	}
}

func TestAPINamesTheBackend(t *testing.T) {
	backend := start(t, &app{me: identity{Role: "backend", Pod: "b-1"}})
	_, body := get(t, start(t, &app{me: identity{Pod: "f-1"}, backend: newBackendClient(backend)})+"/api")
	var reply answer
	if err := json.Unmarshal([]byte(body), &reply); err != nil || reply.Pod != "f-1" || reply.Backend.Pod != "b-1" {
		t.Fatalf("%q: %v", body, err)
	}
}

// One process holds one ballast, however often it is asked, and gives it back.
func TestMemoryIsReplacedAndReleased(t *testing.T) {
	var b ballast
	b.hold(1, time.Hour)
	b.hold(3, time.Hour)
	if len(b.held) != 3<<20 {
		t.Errorf("%d bytes held", len(b.held))
	}
	b.hold(2, time.Millisecond)
	for range 1000 {
		b.mutex.Lock()
		left := len(b.held)
		b.mutex.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("never released")
}

// A pod that leaves must say so first, and answer every request until it closes.
func TestDrain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, &app{me: identity{Pod: "p"}}, 300*time.Millisecond) }()
	base := "http://" + listener.Addr().String()
	for range 100 {
		if response, err := http.Get(base + "/readyz"); err == nil {
			response.Body.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	time.Sleep(100 * time.Millisecond)
	if status, _ := get(t, base+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("readiness while draining: %d", status)
	}
	if status, _ := get(t, base+"/api"); status != http.StatusOK {
		t.Errorf("a request while draining: %d", status)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("serve did not end")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"nothing"}, {"frontend", "-unknown"}, {"frontend", "-drain", "soon"}, {"entries"}} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
