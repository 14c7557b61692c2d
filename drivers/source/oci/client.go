package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"vmplan.dev/vmplan/drivers/source"
	sourcehttp "vmplan.dev/vmplan/drivers/source/http"
)

const (
	maxRedirects = 10
	// silence is how long a registry may take to answer.
	silence = 30 * time.Second
)

// client speaks with one registry, as one repository of it sees it: it logs in when it is asked to, follows redirects only to
// where the registry may send us, and gives logins only to whom they are for.
type client struct {
	auth *auth.Client
	ref  reference
	// anonymous: no login is used.
	anonymous bool
	base      string // URL of the repository, ends with a slash
	// blobs reads blobs by their URL. Registries redirect to object stores, which know ranges and break off like any other
	// web server.
	blobs source.Source
}

// connect makes the client for a reference. It asks the registry only when it has to find out whether that speaks TLS.
func (s *Source) connect(ctx context.Context, ref reference) (*client, error) {
	g := newGuard(ref, s.network, s.anonymous)
	c := &client{ref: ref, anonymous: s.anonymous, auth: &auth.Client{
		Client: &http.Client{Transport: g, CheckRedirect: g.checkRedirect},
		Header: http.Header{"User-Agent": {"vmplan"}},
		Cache:  auth.NewCache(),
		Credential: func(ctx context.Context, host string) (auth.Credential, error) {
			if host != ref.Host() {
				return auth.EmptyCredential, nil
			}
			return login(ctx, s.loginFiles, host, ref.Repository)
		},
	}}
	plain, err := c.plain(ctx)
	if err != nil {
		return nil, err
	}
	c.base = "https://" + ref.Host() + "/v2/" + ref.Repository + "/"
	if plain {
		c.base = "http" + strings.TrimPrefix(c.base, "https")
	}
	c.blobs = sourcehttp.New(sourcehttp.Options{Transport: c, IdleTimeout: s.idle})
	return c, nil
}

// plain decides between http and https. Only of this machine a registry without TLS is taken as it is: what goes over the
// loopback is read by nobody.
func (c *client) plain(ctx context.Context) (bool, error) {
	switch {
	case c.ref.plain:
		return true, nil
	case !isLoopback(c.ref.Registry):
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+c.ref.Registry+"/v2/", nil)
	if err != nil {
		return false, err
	}
	resp, err := c.auth.Client.Do(req)
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true, nil
	}
	if err != nil {
		return false, c.explain(ctx, err)
	}
	return false, resp.Body.Close()
}

// request asks for something in the repository.
func (c *client) request(ctx context.Context, method, what string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequest(method, c.base+what, nil)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	return c.perform(ctx, req)
}

// perform sends a request, and gives only answers of success. The body has to be closed.
func (c *client) perform(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := c.Do(req.WithContext(c.withScope(ctx)))
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, c.refusal(resp)
	}
	return resp, nil
}

// withScope says what a token has to allow.
func (c *client) withScope(ctx context.Context) context.Context {
	if c.ref.push {
		return auth.AppendRepositoryScope(ctx, c.ref.Reference, auth.ActionPull, auth.ActionPush)
	}
	return auth.AppendRepositoryScope(ctx, c.ref.Reference, auth.ActionPull)
}

// Do sends a request, logging in when the registry asks for it.
func (c *client) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.auth.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, in which a redirect may have put a signature
	}
	return resp, err
}

// RoundTrip implements http.RoundTripper for the reader of blobs. Redirects have been followed when it returns.
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) { return c.Do(req) }

var errSilent = errors.New("the registry does not answer")

// explain words a failed request, and marks it when a later one may do better.
func (c *client) explain(ctx context.Context, err error) error {
	var name *net.DNSError
	var network net.Error
	var token *errcode.ErrorResponse
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errRefused), errors.Is(err, source.ErrNotPublic):
		return err
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return c.wantsLogin("none is known here")
	case errors.As(err, &token):
		return c.wantsLogin(fmt.Sprintf("its token server answers %d %s", token.StatusCode, http.StatusText(token.StatusCode)))
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Errorf("there is no host %s", name.Name)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("the registry speaks plain http: if nobody on the way can change what it sends, write the location with %s://", SchemePlain)
	case errors.As(err, &network):
		return source.Retry(err, 0)
	case strings.HasSuffix(err.Error(), "EOF"): // a connection that breaks in the headers or in a manifest
		return source.Retry(err, 0)
	}
	return err
}

// refusal words an answer that is no success.
func (c *client) refusal(resp *http.Response) error {
	err := fmt.Errorf("the registry answers %s%s", resp.Status, reason(resp.Body))
	switch resp.StatusCode {
	case http.StatusNotFound:
		return &notFoundError{c.ref}
	case http.StatusUnauthorized, http.StatusForbidden:
		return c.wantsLogin("what is known here is not enough")
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return source.Retry(err, time.Duration(max(seconds, 0))*time.Second)
	}
	return err
}

// notFoundError tells that the registry does not have what was asked for.
type notFoundError struct{ ref reference }

func (e *notFoundError) Error() string {
	return fmt.Sprintf("the registry has no %s in %s (any more)", e.ref.Reference.Reference, e.ref.Repository)
}

// reason is what the body of a refusal says, if it says it as registries do.
func reason(body io.Reader) string {
	var said struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(body, 8<<10)).Decode(&said) != nil || len(said.Errors) == 0 {
		return ""
	}
	return fmt.Sprintf(": %.200q", strings.ToLower(said.Errors[0].Code)+": "+said.Errors[0].Message)
}

func (c *client) wantsLogin(why string) error {
	if c.anonymous {
		return fmt.Errorf("the registry wants a login for this, and for images of an appliance in a folder of its own none is used; %s", source.TrustHint)
	}
	return fmt.Errorf("the registry wants a login for this, and %s: log in with docker login %[2]s or podman login %[2]s; or there is no such image", why, c.ref.Registry)
}
