package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxBody bounds what is read of any request or answer.
const maxBody = 1 << 20

// backendClient asks the back end over HTTP.
type backendClient struct {
	url    string
	client *http.Client
}

func newBackendClient(base string) *backendClient {
	// A kept connection would stick to one back end pod and meet it again after it left; a new connection per
	// question costs a fraction of a millisecond and is balanced each time.
	// The address of a pod on a lost node takes connections no more: after a second another one is tried.
	dialer := &net.Dialer{Timeout: time.Second}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}
	return &backendClient{url: base, client: &http.Client{Transport: transport, Timeout: 3 * time.Second}}
}

// ask returns the back end's identity.
func (b *backendClient) ask(ctx context.Context) (identity, error) {
	var reply identity
	status, body, err := b.get(ctx, "/api")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s/api: %d", b.url, status)
	}
	if err == nil {
		err = json.Unmarshal(body, &reply)
	}
	return reply, err
}

// entries returns the newest entries; what went wrong stands in their Error.
func (b *backendClient) entries(ctx context.Context) entries {
	var reply entries
	status, body, err := b.get(ctx, "/entries?limit=20")
	if err == nil {
		if json.Unmarshal(body, &reply) != nil {
			err = fmt.Errorf("%s/entries: %d", b.url, status)
		}
	}
	if err != nil {
		reply.Error = err.Error()
	}
	return reply
}

// get reads a path; one attempt without an answer is tried again, because a pod may just have left.
func (b *backendClient) get(ctx context.Context, path string) (int, []byte, error) {
	status, body, err := b.once(ctx, http.MethodGet, path, nil)
	if err != nil && ctx.Err() == nil {
		status, body, err = b.once(ctx, http.MethodGet, path, nil)
	}
	return status, body, err
}

// add sends an entry. It is sent once only: a second attempt could write it twice.
func (b *backendClient) add(ctx context.Context, body []byte) (int, []byte, error) {
	return b.once(ctx, http.MethodPost, "/entries", body)
}

func (b *backendClient) once(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, answer, err
}
