package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// identity says which process of the demo answers.
type identity struct {
	Role     string `json:"role"`
	Version  string `json:"version"`
	Pod      string `json:"pod"`
	Node     string `json:"node,omitempty"`
	Greeting string `json:"greeting,omitempty"`
	Colour   string `json:"colour,omitempty"`
}

// newIdentity reads the identity from the environment; the pod name falls back to the host name.
func newIdentity(role string) identity {
	host, _ := os.Hostname()
	return identity{
		Role: role, Version: env("VERSION", "dev"), Pod: env("POD", host), Node: env("NODE", ""),
		Greeting: env("GREETING", ""), Colour: env("COLOUR", ""),
	}
}

// answer is what /api returns. Backend and Error are the front end's alone.
type answer struct {
	identity
	Backend *identity `json:"backend,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// app is one running front end or back end. A front end has a backend, a back end may have a store.
type app struct {
	me      identity
	backend *backendClient
	store   *store
	ballast ballast
	ready   atomic.Bool
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /api", a.api)
	mux.HandleFunc("GET /load", a.load)
	mux.HandleFunc("GET /memory", a.memory)
	mux.HandleFunc("GET /entries", a.list)
	mux.HandleFunc("POST /entries", a.add)
	mux.HandleFunc("GET /{$}", a.page)
	if a.backend != nil {
		mux.HandleFunc("POST /{$}", a.sign)
	}
	return mux
}

// readyz does not look at what lies behind: a broken back end or database must not take every pod out of service.
func (a *app) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (a *app) answer(ctx context.Context) answer {
	reply := answer{identity: a.me}
	if a.backend == nil {
		return reply
	}
	backend, err := a.backend.ask(ctx)
	if err != nil {
		reply.Error = err.Error()
		return reply
	}
	reply.Backend = &backend
	return reply
}

// writeJSON answers with a status and a JSON document.
func writeJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// problem is the JSON answer of what failed.
func problem(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// api answers 502 when the back end could not be asked, so that a test sees it without reading the body.
func (a *app) api(w http.ResponseWriter, r *http.Request) {
	reply, status := a.answer(r.Context()), http.StatusOK
	if reply.Error != "" {
		status = http.StatusBadGateway
	}
	writeJSON(w, status, reply)
}

// list answers the newest ?limit= entries (20 when absent): a back end from the database, a front end from its back end.
func (a *app) list(w http.ResponseWriter, r *http.Request) {
	limit, err := number(r, "limit", 20, maxKept)
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	if a.backend != nil {
		status, body, err := a.backend.get(r.Context(), fmt.Sprintf("/entries?limit=%d", limit))
		relay(w, status, body, err)
		return
	}
	if a.store == nil {
		problem(w, http.StatusServiceUnavailable, errNoDatabase)
		return
	}
	found, err := a.store.list(r.Context(), limit)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, fmt.Errorf("the database does not answer: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// add takes the entry {"name": ..., "text": ...} and answers 201 when it is on the database's disk.
func (a *app) add(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<14))
	if err != nil {
		problem(w, http.StatusRequestEntityTooLarge, err)
		return
	}
	if a.backend != nil {
		status, reply, err := a.backend.add(r.Context(), body)
		relay(w, status, reply, err)
		return
	}
	if a.store == nil {
		problem(w, http.StatusServiceUnavailable, errNoDatabase)
		return
	}
	var sent struct{ Name, Text string }
	if err := json.Unmarshal(body, &sent); err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	wanted := entry{Name: sent.Name, Text: sent.Text, At: time.Now().UTC().Truncate(time.Millisecond), Writer: a.me.Pod}
	if err := wanted.check(); err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	written, err := a.store.add(r.Context(), wanted)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, fmt.Errorf("the database does not answer: %w", err))
		return
	}
	writeJSON(w, http.StatusCreated, written)
}

// relay passes the back end's answer on, or says that there is none.
func relay(w http.ResponseWriter, status int, body []byte, err error) {
	if err != nil {
		problem(w, http.StatusBadGateway, fmt.Errorf("the back end does not answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// view is what the page shows.
type view struct {
	answer
	Guestbook entries
	Refused   string
}

// page always answers 200: it shows what is broken instead of breaking itself.
func (a *app) page(w http.ResponseWriter, r *http.Request) { a.show(w, r, http.StatusOK, "") }

func (a *app) show(w http.ResponseWriter, r *http.Request, status int, refused string) {
	shown := view{answer: a.answer(r.Context()), Refused: refused}
	if a.backend != nil && shown.Error == "" {
		shown.Guestbook = a.backend.entries(r.Context())
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, shown)
}

// sign takes the page's form. After a success the browser asks for the page again, so that a reload writes nothing twice.
func (a *app) sign(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<14)
	body, err := json.Marshal(map[string]string{"name": r.PostFormValue("name"), "text": r.PostFormValue("text")})
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	status, reply, err := a.backend.add(r.Context(), body)
	if err == nil && status == http.StatusCreated {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if err != nil {
		a.show(w, r, http.StatusBadGateway, "the back end does not answer")
		return
	}
	var refused entries
	_ = json.Unmarshal(reply, &refused)
	a.show(w, r, status, refused.Error)
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))
