package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	entriesKey = "guestbook:entries" // a list, newest first, each an entry as JSON
	numberKey  = "guestbook:number"  // of the entry written last
	maxKept    = 1000                // older entries are forgotten
	maxName    = 40                  // characters
	maxText    = 400
	// A question to the database ends within this time, so that a lost database is told and not waited for.
	storePatience = 2 * time.Second
)

var errNoDatabase = errors.New("no database is configured (-database)")

// entry is one line of the guestbook. Writer says which back end pod took it, At is UTC.
type entry struct {
	Number int64     `json:"number"`
	Name   string    `json:"name"`
	Text   string    `json:"text"`
	At     time.Time `json:"at"`
	Writer string    `json:"writer"`
}

// entries is what /entries answers: the newest entries, and how many there are.
type entries struct {
	Total   int64   `json:"total"`
	Entries []entry `json:"entries"`
	Error   string  `json:"error,omitempty"`
}

// check trims an entry that a client sent and says what is wrong with it.
func (e *entry) check() error {
	e.Name, e.Text = strings.TrimSpace(e.Name), strings.TrimSpace(e.Text)
	for what, c := range map[string]struct {
		value string
		limit int
	}{"name": {e.Name, maxName}, "text": {e.Text, maxText}} {
		if length := utf8.RuneCountInString(c.value); length == 0 || length > c.limit {
			return fmt.Errorf("%s: 1 to %d characters, not %d", what, c.limit, length)
		}
	}
	return nil
}

// store keeps the entries in Redis.
type store struct {
	client *redis.Client
}

// newStore connects on first use, and again whenever the connection broke. The password is read for each connection, so
// that a new one is used without a restart.
func newStore(address, passwordFile string) *store {
	return &store{client: redis.NewClient(&redis.Options{
		Addr:            address,
		DialTimeout:     time.Second,
		ReadTimeout:     time.Second,
		WriteTimeout:    time.Second,
		MaxRetries:      2,
		PoolSize:        8,
		DisableIdentity: true,
		// for Redis' own cloud alone
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true,
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			if passwordFile == "" {
				return "", "", nil
			}
			password, err := os.ReadFile(passwordFile)
			return "", strings.TrimSpace(string(password)), err
		},
	})}
}

func (s *store) close() { _ = s.client.Close() }

// add writes one entry and returns it with its number. Once this returns, the entry is on the database's disk
// (appendfsync always), so a crash does not lose it.
func (s *store) add(ctx context.Context, e entry) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	number, err := s.client.Incr(ctx, numberKey).Result()
	if err != nil {
		return e, err
	}
	e.Number = number
	text, err := json.Marshal(e)
	if err != nil {
		return e, err
	}
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.LPush(ctx, entriesKey, text)
		pipe.LTrim(ctx, entriesKey, 0, maxKept-1)
		return nil
	})
	return e, err
}

// list returns the newest entries, at most limit.
func (s *store) list(ctx context.Context, limit int64) (entries, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	found := entries{Entries: []entry{}}
	var length *redis.IntCmd
	var newest *redis.StringSliceCmd
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		length = pipe.LLen(ctx, entriesKey)
		newest = pipe.LRange(ctx, entriesKey, 0, limit-1)
		return nil
	})
	if err != nil {
		return found, err
	}
	found.Total = length.Val()
	for _, text := range newest.Val() {
		var one entry
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return found, fmt.Errorf("an entry in the database is broken: %w", err)
		}
		found.Entries = append(found.Entries, one)
	}
	return found, nil
}
