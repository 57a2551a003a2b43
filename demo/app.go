package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// maxLoad bounds one /load request, so that no client can hold a processor for long.
const maxLoad = 5 * time.Second

// identity says which process of the demo answers.
type identity struct {
	Role     string `json:"role"`
	Version  string `json:"version"`
	Pod      string `json:"pod"`
	Node     string `json:"node,omitempty"`
	Greeting string `json:"greeting,omitempty"`
}

// newIdentity reads the identity from the environment; the pod name falls back to the host name.
func newIdentity(role string) identity {
	host, _ := os.Hostname()
	return identity{
		Role: role, Version: env("VERSION", "dev"), Pod: env("POD", host), Node: env("NODE", ""),
		Greeting: env("GREETING", ""),
	}
}

// answer is what /api returns. Backend and Error are the front end's alone.
type answer struct {
	identity
	Backend *identity `json:"backend,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// app is one running front end or back end; backend is nil in a back end.
type app struct {
	me      identity
	backend *backendClient
	ready   atomic.Bool
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /api", a.api)
	mux.HandleFunc("GET /load", a.load)
	mux.HandleFunc("GET /{$}", a.page)
	return mux
}

// readyz does not look at the back end: a broken back end must not take every front end out of service.
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

// api answers 502 when the back end could not be asked, so that a test sees it without reading the body.
func (a *app) api(w http.ResponseWriter, r *http.Request) {
	reply := a.answer(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if reply.Error != "" {
		w.WriteHeader(http.StatusBadGateway)
	}
	_ = json.NewEncoder(w).Encode(reply)
}

// page always answers 200: it shows what is broken instead of breaking itself.
func (a *app) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = pageTemplate.Execute(w, a.answer(r.Context()))
}

// load burns one processor for ?ms= milliseconds (200 when absent), at most maxLoad.
func (a *app) load(w http.ResponseWriter, r *http.Request) {
	length := 200 * time.Millisecond
	if text := r.URL.Query().Get("ms"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms < 0 || int64(ms) > maxLoad.Milliseconds() {
			http.Error(w, fmt.Sprintf("ms: a number from 0 to %d", maxLoad.Milliseconds()), http.StatusBadRequest)
			return
		}
		length = time.Duration(ms) * time.Millisecond
	}
	fmt.Fprintf(w, "%s burnt %s in %d rounds\n", a.me.Pod, length, burn(r.Context(), length))
}

// burn computes until length has passed or the client has gone; it lets probes in between its rounds.
func burn(ctx context.Context, length time.Duration) (rounds int) {
	sum := uint64(1)
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; rounds++ {
		for i := range uint64(100_000) {
			sum = sum*6364136223846793005 + i
		}
		runtime.Gosched()
	}
	if sum == 0 { // never useful, but it keeps the compiler from dropping the loop
		rounds++
	}
	return rounds
}

// backendClient asks the back end over HTTP.
type backendClient struct {
	url    string
	client *http.Client
}

func newBackendClient(base string) *backendClient {
	// A kept connection would stick to one back end pod and meet it again after it left; a new connection per
	// question costs a fraction of a millisecond and is balanced each time.
	transport := &http.Transport{DisableKeepAlives: true}
	return &backendClient{url: base + "/api", client: &http.Client{Transport: transport, Timeout: 2 * time.Second}}
}

// ask returns the back end's identity; one failed attempt is tried again, because a pod may just have left.
func (b *backendClient) ask(ctx context.Context) (identity, error) {
	var reply identity
	err := b.once(ctx, &reply)
	if err != nil && ctx.Err() == nil {
		err = b.once(ctx, &reply)
	}
	return reply, err
}

func (b *backendClient) once(ctx context.Context, reply *identity) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, nil)
	if err != nil {
		return err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", b.url, response.Status)
	}
	return json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(reply)
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>KaaS demo {{.Version}}</title>
<style>
body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1rem; color: #1c2733 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #d8dee6 }
.bad { color: #b3261e }
</style>
</head>
<body>
<h1>{{if .Greeting}}{{.Greeting}}{{else}}It works{{end}}</h1>
<table>
<tr><th></th><th>pod</th><th>node</th><th>version</th></tr>
<tr><th>front end</th><td>{{.Pod}}</td><td>{{.Node}}</td><td>{{.Version}}</td></tr>
{{with .Backend}}<tr><th>back end</th><td>{{.Pod}}</td><td>{{.Node}}</td><td>{{.Version}}</td></tr>
{{end}}</table>
{{with .Error}}<p class="bad">The back end does not answer: {{.}}</p>
{{end}}</body>
</html>
`))
