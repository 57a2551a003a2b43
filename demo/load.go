package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

const (
	maxLoad   = 5 * time.Second // bounds one /load request, so that no client can hold a processor for long
	maxHold   = time.Minute     // and how long /memory holds
	maxMemory = 64              // MiB that it holds at most; the pod's limit is above it
)

// number reads a query parameter between 0 and limit.
func number(r *http.Request, name string, fallback, limit int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return fallback, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || value > limit {
		return 0, fmt.Errorf("%s: a number from 0 to %d", name, limit)
	}
	return value, nil
}

// load burns one processor for ?ms= milliseconds (200 when absent), at most maxLoad.
func (a *app) load(w http.ResponseWriter, r *http.Request) {
	ms, err := number(r, "ms", 200, maxLoad.Milliseconds())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	length := time.Duration(ms) * time.Millisecond
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

// ballast is memory that is held for a while. There is one per process: a new request replaces what is held, so that many
// requests hold no more than one.
type ballast struct {
	mutex sync.Mutex
	held  []byte
	timer *time.Timer
}

// hold keeps mib MiB of touched memory for length.
func (b *ballast) hold(mib int64, length time.Duration) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	if size := int(mib) << 20; len(b.held) != size {
		b.held = nil
		debug.FreeOSMemory()
		b.held = make([]byte, size)
		for i := 0; i < size; i += 4096 {
			b.held[i] = 1
		}
	}
	b.timer = time.AfterFunc(length, b.release)
}

// release gives the memory back to the operating system at once, so that the autoscaler sees it.
func (b *ballast) release() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.held = nil
	debug.FreeOSMemory()
}

// memory holds ?mb= MiB (32 when absent, at most maxMemory) for ?ms= milliseconds (10 s when absent, at most maxHold).
func (a *app) memory(w http.ResponseWriter, r *http.Request) {
	mib, err := number(r, "mb", 32, maxMemory)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ms, err := number(r, "ms", 10_000, maxHold.Milliseconds())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	length := time.Duration(ms) * time.Millisecond
	a.ballast.hold(mib, length)
	fmt.Fprintf(w, "%s holds %d MiB for %s\n", a.me.Pod, mib, length)
}
