package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/source"
)

const (
	uploadTries = 5
	// settle is how long a registry may take for a blob that is there in full: some read all of it again.
	settle = 10 * time.Minute
)

// upload puts a blob into the repository unless it is there. A transfer that breaks is begun again: Docker's registry, and
// what is built on it, take up none of which they did not see the end.
func (c *client) upload(ctx context.Context, b *blob, report func(drivers.Progress)) error {
	resp, err := c.request(ctx, http.MethodHead, "blobs/"+b.Digest.String(), nil)
	var missing *notFoundError
	switch {
	case err == nil:
		return resp.Body.Close()
	case !errors.As(err, &missing):
		return err
	}
	wait := time.Second / 2
	for failed := 1; ; failed++ {
		err := c.send(ctx, b, report)
		after, again := source.IsRetry(err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !again:
			return err
		case failed == uploadTries:
			return fmt.Errorf("%w (tried %d times)", err, failed)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(max(wait, min(after, time.Minute))):
		}
		wait *= 2
	}
}

// send opens a session for the blob, streams it, and closes the session with the digest.
func (c *client) send(ctx context.Context, b *blob, report func(drivers.Progress)) error {
	resp, err := c.request(ctx, http.MethodPost, "blobs/uploads/", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	session, err := c.next(resp)
	if err != nil {
		return err
	}
	if resp, err = c.stream(ctx, session, b, report); err != nil {
		return err
	}
	resp.Body.Close()
	if session, err = c.next(resp); err != nil {
		return err
	}
	query := session.Query()
	query.Set("digest", b.Digest.String())
	session.RawQuery = query.Encode()
	req, err := http.NewRequest(http.MethodPut, session.String(), nil)
	if err != nil {
		return err
	}
	if resp, err = c.perform(ctx, req); err != nil {
		return err
	}
	return resp.Body.Close()
}

// stream sends the blob's bytes.
func (c *client) stream(ctx context.Context, session *url.URL, b *blob, report func(drivers.Progress)) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(settle, func() { cancel(source.Retry(errSilent, 0)) })
	defer watch.Stop()
	req, err := http.NewRequest(http.MethodPatch, session.String(), nil)
	if err != nil {
		return nil, err
	}
	// A token that has run out in the meantime is renewed, and then the body is wanted again.
	req.GetBody = func() (io.ReadCloser, error) {
		in, err := b.open()
		if err != nil {
			return nil, err
		}
		m := &metered{ctx: ctx, r: in, report: report, phase: "uploading", total: b.Size}
		m.alive = func() { watch.Reset(settle) }
		return closing{m, in.Close}, nil
	}
	if req.Body, err = req.GetBody(); err != nil {
		return nil, err
	}
	req.ContentLength = b.Size
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Content-Range", fmt.Sprintf("0-%d", b.Size-1))
	return c.perform(ctx, req)
}

// next is where the registry wants the next request of an upload: at its own address, which is the only one that the bits and
// the login are for.
func (c *client) next(resp *http.Response) (*url.URL, error) {
	to, err := resp.Location()
	if err != nil {
		return nil, errors.New("the registry does not say where to upload to")
	}
	own, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	if hostOf(to.Host) == hostOf(own.Host) && to.Port() == "" {
		to.Host = own.Host // registries behind a proxy may leave out the port
	}
	if to.Host != own.Host || to.Scheme != own.Scheme {
		return nil, fmt.Errorf("%w: the registry %s wants uploads sent to %s://%s", errRefused, own.Host, to.Scheme, to.Host)
	}
	return to, nil
}

// putManifest writes a manifest or an index under a tag, or under its digest.
func (c *client) putManifest(ctx context.Context, name string, d document) error {
	req, err := http.NewRequest(http.MethodPut, c.base+"manifests/"+name, bytes.NewReader(d.text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", d.MediaType)
	resp, err := c.perform(ctx, req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
