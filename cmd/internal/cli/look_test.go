package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
)

// openHost is a driver that only counts how many are open.
type openHost struct {
	drivers.Driver
	open *int
}

func (h openHost) Close() error { *h.open--; return nil }

// recordedState is a backend with something recorded.
type recordedState struct {
	state.Backend
	snapshot *state.Snapshot
}

func (b recordedState) Read(context.Context) (*state.Snapshot, error) { return b.snapshot, nil }

// A host whose driver cannot be opened leaves none of the others open.
func TestLookingClosesWhatItOpened(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("main.hcl", []byte("host \"a\" { uri = \"good:a\" }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	snapshot := &state.Snapshot{Lineage: "11111111-2222-4333-8444-555555555555", Records: map[resource.Addr]*state.Record{}}
	for label, uri := range map[string]string{"a": "good:a", "b": "good:b", "c": "bad:c", "d": "good:d"} {
		addr := resource.Addr{Kind: resource.KindHost, Name: label}
		snapshot.Records[addr] = &state.Record{Object: &resource.Host{Meta: resource.Meta{Addr: addr, Name: label}, URI: uri}, Status: state.StatusReady}
	}
	open, opened, wrong := 0, 0, errors.New("wrong")
	app := &App{
		Streams: view.Streams{Out: io.Discard, Err: io.Discard},
		Parts: engine.Parts{
			Drivers: drivers.Registry{
				"good": func(*resource.Host, drivers.Env) (drivers.Driver, error) {
					open, opened = open+1, opened+1
					return openHost{open: &open}, nil
				},
				"bad": func(*resource.Host, drivers.Env) (drivers.Driver, error) { return nil, wrong },
			},
			Backends: map[string]func(config.StateSettings) (state.Backend, error){
				"local": func(config.StateSettings) (state.Backend, error) { return recordedState{snapshot: snapshot}, nil },
			},
			Images: func(engine.ImageSettings) (engine.ImageStore, error) { return nil, nil },
		},
	}
	for opened < 5 { // hosts are opened in any order
		if _, _, err := app.look(t.Context(), nil); !errors.Is(err, wrong) {
			t.Fatalf("looking fails with %v", err)
		}
		if open != 0 {
			t.Fatalf("%d drivers stay open", open)
		}
	}
}
