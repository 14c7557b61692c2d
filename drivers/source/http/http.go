// Package http reads images over http and https, and can continue a broken download. It keeps nothing: that is the store's.
package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vmplan.dev/vmplan/drivers/source"
)

const (
	maxRedirects = 10
	idleTimeout  = 30 * time.Second
)

// Options say how to speak with servers. The zero Options are right for all but special surroundings.
type Options struct {
	IdleTimeout time.Duration     // how long a server may send nothing; default 30s
	Transport   http.RoundTripper // default: Go's, with the proxy settings of the environment
}

// Source implements source.Source for locations http://… and https://….
type Source struct {
	client *http.Client
	idle   time.Duration
}

// New makes a source. It does no I/O.
func New(o Options) *Source {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = idleTimeout
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // ranges and checksums are of the file, not of a packed form of it
		o.Transport = t
	}
	return &Source{client: &http.Client{Transport: o.Transport, CheckRedirect: checkRedirect}, idle: o.IdleTimeout}
}

var errRedirect = errors.New("redirect refused")

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: more than %d of them", errRedirect, maxRedirects)
	}
	if before := via[len(via)-1].URL; before.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: from https to %s, where anyone on the way could change the file", errRedirect, req.URL.Scheme)
	}
	req.Header.Del("Referer") // which has the signature of the URL that we come from
	return nil
}

// Stat implements source.Source, with a HEAD request where the server answers such: a URL that is signed is for GET alone.
func (s *Source) Stat(ctx context.Context, location string) (source.Info, error) {
	body, info, err := s.request(ctx, http.MethodHead, location, source.Position{})
	if errors.Is(err, errForbidden) {
		body, info, err = s.request(ctx, http.MethodGet, location, source.Position{})
	}
	if err != nil {
		return source.Info{}, err
	}
	return info, body.Close()
}

// Open implements source.Source. It starts at from.Offset if the server can do ranges and still has that very version. A position
// without a Validator is one in a file that never changes, as its URL names its digest.
func (s *Source) Open(ctx context.Context, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	if from.Offset > 0 && strings.HasPrefix(from.Validator, "W/") {
		from = source.Position{} // a weak tag does not tell that bytes are the same
	}
	body, info, err := s.request(ctx, http.MethodGet, location, from)
	if errors.Is(err, errNoRange) {
		return s.request(ctx, http.MethodGet, location, source.Position{})
	}
	return body, info, err
}

// errForbidden tells that the server does not let us.
var errForbidden = errors.New("it wants a login, or the file does not exist")

// errNoRange tells that the server cannot continue where it was asked to.
var errNoRange = errors.New("the server cannot continue a download")

func (s *Source) request(ctx context.Context, method, location string, from source.Position) (io.ReadCloser, source.Info, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, method, location, nil)
	if err != nil {
		cancel(nil)
		return nil, source.Info{}, errors.New("this is no URL") // the error's text holds the URL, and that may hold a password
	}
	req.Header.Set("User-Agent", "vmplan")
	req.Header.Set("Accept-Encoding", "identity")
	if from.Offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from.Offset))
		if from.Validator != "" {
			req.Header.Set("If-Range", from.Validator)
		}
	}
	watch := newWatch(s.idle, cancel)
	resp, err := s.client.Do(req)
	watch.stop()
	if err != nil {
		err = classify(ctx, err)
		cancel(nil)
		return nil, source.Info{}, err
	}
	body := &body{ReadCloser: resp.Body, ctx: ctx, watch: watch, cancel: cancel}
	info, err := readHeader(resp, from)
	switch {
	case err != nil:
		body.Close()
		return nil, source.Info{}, err
	case info.Offset == info.Size && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		body.Close()
		return http.NoBody, info, nil
	}
	return body, info, nil
}

// readHeader tells what the server answers with.
func readHeader(resp *http.Response, from source.Position) (source.Info, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return source.Info{Size: resp.ContentLength, Validator: validator(resp.Header)}, nil
	case http.StatusPartialContent:
		start, size, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if !ok || start != from.Offset || from.Offset == 0 || !sameVersion(resp.Header, from.Validator) {
			return source.Info{}, errNoRange
		}
		return source.Info{Size: size, Validator: from.Validator, Offset: start}, nil
	case http.StatusRequestedRangeNotSatisfiable:
		// "bytes */SIZE": when all was there already, that is no error.
		size, err := strconv.ParseInt(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes */"), 10, 64)
		if err != nil || size != from.Offset || !sameVersion(resp.Header, from.Validator) {
			return source.Info{}, errNoRange
		}
		return source.Info{Size: size, Validator: from.Validator, Offset: size}, nil
	}
	return source.Info{}, statusError(resp)
}

func statusError(resp *http.Response) error {
	err := fmt.Errorf("the server answers %s", resp.Status)
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return source.Retry(err, time.Duration(max(seconds, 0))*time.Second)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: there is no such file (any more)", err)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w", err, errForbidden)
	}
	return err
}

// validator picks what tells versions of the file apart: best a strong tag, then the time, then a weak tag.
func validator(h http.Header) string {
	tag := h.Get("ETag")
	if strings.HasPrefix(tag, `"`) {
		return tag
	}
	if modified := h.Get("Last-Modified"); modified != "" {
		return modified
	}
	return tag
}

// sameVersion tells whether an answer to a request with If-Range is of the version asked for. Servers may leave out what the
// asker knows, and some heed Range but not If-Range.
func sameVersion(h http.Header, asked string) bool {
	name := "Last-Modified"
	if strings.HasPrefix(asked, `"`) {
		name = "ETag"
	}
	got := h.Get(name)
	return got == "" || got == asked || asked == ""
}

// parseContentRange reads "bytes START-END/SIZE"; size is -1 for *.
func parseContentRange(text string) (start, size int64, ok bool) {
	spec, ok := strings.CutPrefix(text, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, total, ok1 := strings.Cut(spec, "/")
	first, _, ok2 := strings.Cut(span, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if !ok1 || !ok2 || err != nil || start < 0 {
		return 0, 0, false
	}
	if total == "*" {
		return start, -1, true
	}
	size, err = strconv.ParseInt(total, 10, 64)
	return start, size, err == nil && size > start
}

// classify words a failed request, and marks it when a later one may do better.
func classify(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which the caller names
	}
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	switch {
	case errors.Is(err, errRedirect), errors.Is(err, source.ErrNotPublic), errors.As(err, &certificate):
		return err
	case errors.As(err, &name) && name.IsNotFound:
		return err
	}
	return source.Retry(err, 0)
}
