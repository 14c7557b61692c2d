package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"vmplan.dev/vmplan/cmd/internal/view"
)

// warnings is the log when nobody asked to see it: its warnings are kept, and printed at the end, when no progress display is
// in the way.
type warnings struct {
	mu   sync.Mutex
	list []warning
}

type warning struct{ summary, detail string }

// Enabled implements slog.Handler.
func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	text := []rune(r.Message)
	said := warning{summary: strings.ToUpper(string(text[:1])) + string(text[1:])}
	r.Attrs(func(a slog.Attr) bool {
		said.detail += fmt.Sprintf("%s: %v\n", a.Key, a.Value)
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.list, said) {
		w.list = append(w.list, said)
	}
	return nil
}

// WithAttrs and WithGroup implement slog.Handler; nobody here adds to a logger.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }

func (w *warnings) show(p *view.Printer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range w.list {
		p.Warn(said.summary, said.detail)
	}
	w.list = nil
}
