// Package ext is the place where a vendor's build of Traefik adds settings of its own. Traefik names it by a folder of
// its repository that its published module leaves out; this one adds nothing, as that one does.
package ext

// HTTP has no settings beyond Traefik's own.
type HTTP struct{}

// Router has no settings beyond Traefik's own.
type Router struct{}
