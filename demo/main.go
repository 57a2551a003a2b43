// Command demo is the small application that shows a KaaS cluster at work: a guestbook. The front end answers people, the
// back end is the API that keeps the entries in a Redis database; each finds the next one by its service name.
//
//	demo frontend   serves / (the page), /entries and /api (JSON), /load and /memory (for the autoscaler)
//	demo backend    serves /entries (kept in the database) and /api (who answers)
//	demo entries    prints the entries, straight from the database
//
// Settings come from flags, whose defaults come from the environment:
//
//	-listen        LISTEN         address to listen on, ":8080"
//	-backend       BACKEND        base URL of the back end, "http://backend"
//	-database      DATABASE       host:port of the database; without it the back end keeps no entries
//	-password-file PASSWORD_FILE  file with the database's password
//	-drain         DRAIN          how long to go on serving after SIGTERM, "5s"
//	               VERSION        shown on the page; the image sets it
//	               POD, NODE, GREETING, COLOUR  shown on the page; the Deployment sets them
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

var roles = []string{"frontend", "backend", "entries"}

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run parses the command line and serves until SIGTERM or SIGINT, or prints the entries.
func run(args []string, out io.Writer) error {
	if len(args) == 0 || !slices.Contains(roles, args[0]) {
		return errors.New("usage: demo frontend|backend|entries [-listen ADDRESS] [-backend URL] [-database HOST:PORT] " +
			"[-password-file FILE] [-drain DURATION]")
	}
	drainDefault, err := time.ParseDuration(env("DRAIN", "5s"))
	if err != nil {
		return fmt.Errorf("DRAIN: %w", err)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", env("LISTEN", ":8080"), "address to listen on")
	backend := flags.String("backend", env("BACKEND", "http://backend"), "base URL of the back end")
	database := flags.String("database", env("DATABASE", ""), "host:port of the database")
	password := flags.String("password-file", env("PASSWORD_FILE", ""), "file with the database's password")
	drain := flags.Duration("drain", drainDefault, "how long to go on serving after SIGTERM")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	app := &app{me: newIdentity(args[0])}
	if args[0] == "frontend" {
		app.backend = newBackendClient(*backend)
	} else if *database != "" {
		app.store = newStore(*database, *password)
		defer app.store.close()
	}
	if args[0] == "entries" {
		return printEntries(ctx, app.store, out)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	log.Printf("demo %s %s listens on %s", app.me.Role, app.me.Version, listener.Addr())
	return serve(ctx, listener, app, *drain)
}

// printEntries writes the entries as JSON, newest first.
func printEntries(ctx context.Context, store *store, out io.Writer) error {
	if store == nil {
		return errNoDatabase
	}
	found, err := store.list(ctx, maxKept)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(found)
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
