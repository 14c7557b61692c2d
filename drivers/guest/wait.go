package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	pollFirst   = 100 * time.Millisecond
	pollMost    = 2 * time.Second
	tryTimeout  = 10 * time.Second // of one attempt: a guest that boots may take a connection and stay silent
	bannerLimit = 16 << 10         // a server may send lines before its banner, but not without end
)

// Dialer connects to an address as seen from where the guest's network is reachable.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// WaitSSH waits until an ssh server greets on addr (host:port), or ctx ends. The error then wraps that of ctx and tells why
// the last attempt failed.
func WaitSSH(ctx context.Context, dial Dialer, addr string) error {
	return poll(ctx, "ssh on "+addr, func(ctx context.Context) error { return greet(ctx, dial, addr) })
}

// greet connects and reads the server's identification string.
func greet(ctx context.Context, dial Dialer, addr string) error {
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, bannerLimit)
	for read := 0; read < bannerLimit && lines.Scan(); read += len(lines.Bytes()) + 1 {
		if line := lines.Text(); strings.HasPrefix(line, "SSH-") {
			if strings.HasPrefix(line, "SSH-2.0-") || strings.HasPrefix(line, "SSH-1.99-") {
				return nil
			}
			return fmt.Errorf("the server speaks an old protocol: %q", line)
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return errors.New("connected, but the server did not greet")
	case err != nil:
		return fmt.Errorf("read the server's greeting: %w", err)
	}
	return errors.New("connected, but what answers is no ssh server")
}

// permanentError is a failure that waiting does not fix.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// poll tries until it succeeds, fails for good, or ctx ends; each attempt gets at most tryTimeout.
func poll(ctx context.Context, what string, try func(context.Context) error) error {
	var last error
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := pollFirst; ; wait = min(wait*3/2, pollMost) {
		select {
		case <-ctx.Done():
			if last == nil {
				return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
			}
			return fmt.Errorf("wait for %s: %w; last answer: %w", what, context.Cause(ctx), last)
		case <-timer.C:
		}
		attempt, cancel := context.WithTimeout(ctx, tryTimeout)
		err := try(attempt)
		cancel()
		var permanent permanentError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &permanent):
			return fmt.Errorf("wait for %s: %w", what, permanent.error)
		case ctx.Err() == nil || last == nil:
			last = err // one cut short by the end of ctx says less than the one before
		}
		timer.Reset(wait)
	}
}
