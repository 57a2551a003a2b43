// Command demo is the small application that shows a KaaS cluster at work: a front end that answers people and
// a back end that the front end finds by its service name.
//
//	demo frontend   serves / (a page), /api (the same as JSON) and /load (burns CPU)
//	demo backend    serves /api, the answer that the front end shows
//
// Settings come from flags, whose defaults come from the environment:
//
//	-listen  LISTEN   address to listen on, ":8080"
//	-backend BACKEND  base URL of the back end, "http://backend"
//	-drain   DRAIN    how long to go on serving after SIGTERM, "5s"
//	         VERSION  shown on the page; the image sets it
//	         POD, NODE, GREETING  shown on the page; the Deployment sets them
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// run parses the command line and serves until SIGTERM or SIGINT.
func run(args []string) error {
	if len(args) == 0 || (args[0] != "frontend" && args[0] != "backend") {
		return errors.New("usage: demo frontend|backend [-listen ADDRESS] [-backend URL] [-drain DURATION]")
	}
	drainDefault, err := time.ParseDuration(env("DRAIN", "5s"))
	if err != nil {
		return fmt.Errorf("DRAIN: %w", err)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", env("LISTEN", ":8080"), "address to listen on")
	backend := flags.String("backend", env("BACKEND", "http://backend"), "base URL of the back end")
	drain := flags.Duration("drain", drainDefault, "how long to go on serving after SIGTERM")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}

	me := newIdentity(args[0])
	app := &app{me: me}
	if args[0] == "frontend" {
		app.backend = newBackendClient(*backend)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	log.Printf("demo %s %s listens on %s", me.Role, me.Version, listener.Addr())
	return serve(ctx, listener, app, *drain)
}

// serve answers on listener until ctx ends, then drains: readiness goes off first, requests are still answered for
// the drain time (until every kube-proxy has heard that this pod leaves), and only then the server closes.
func serve(ctx context.Context, listener net.Listener, app *app, drain time.Duration) error {
	server := &http.Server{Handler: app.routes(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 60 * time.Second}
	app.ready.Store(true)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	app.ready.Store(false)
	// Answers now carry "Connection: close", so that clients with a kept connection go to another pod in time.
	server.SetKeepAlivesEnabled(false)
	log.Printf("draining for %s", drain)
	time.Sleep(drain)
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// env returns the environment variable name, or fallback when it is unset or empty.
func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
