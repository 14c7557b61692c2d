package http

import (
	"context"
	"fmt"
	"io"
	"time"

	"vmplan.dev/vmplan/drivers/source"
)

// body is a response's body that fails when the server falls silent.
type body struct {
	io.ReadCloser
	ctx    context.Context
	watch  *watch
	cancel context.CancelCauseFunc
}

// Read implements io.Reader. Only the time spent waiting for the server counts, not what the reader does in between.
func (b *body) Read(p []byte) (int, error) {
	b.watch.start()
	n, err := b.ReadCloser.Read(p)
	b.watch.stop()
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// watch cancels a request that has waited too long.
type watch struct {
	timer *time.Timer
	idle  time.Duration
}

// newWatch makes a watch that runs already.
func newWatch(idle time.Duration, cancel context.CancelCauseFunc) *watch {
	return &watch{idle: idle, timer: time.AfterFunc(idle, func() {
		cancel(source.Retry(fmt.Errorf("the server has sent nothing for %v", idle), 0))
	})}
}

func (w *watch) start() { w.timer.Reset(w.idle) }
func (w *watch) stop()  { w.timer.Stop() }
