package statetest

import (
	"context"
	"testing"

	"vmplan.dev/vmplan/state"
)

func replaceWhatever(t *testing.T, open func() state.Backend) {
	ctx := context.Background()
	b := open()
	first := Snapshot(3)
	if err := b.Replace(ctx, first); err != nil || first.Serial != 1 {
		t.Fatalf("replacing nothing: serial %d, %v", first.Serial, err)
	}
	same(t, read(t, open()), first)
	appendTo(t, b, first, entry("vm0", 5))

	other := Snapshot(1)
	other.Lineage, other.Serial = "0f4f4a53-6a35-4a08-8a3e-2f6e2b0e5d11", 7
	if err := b.Replace(ctx, other); err != nil || other.Serial != 8 {
		t.Fatalf("replacing another project's state: serial %d, %v", other.Serial, err)
	}
	same(t, read(t, open()), other) // and nothing of the first one's journal
	stale(t, b.Write(ctx, first))
	stale(t, b.Append(ctx, first, entry("vm0", 6)))

	older := Snapshot(2)
	older.Lineage = other.Lineage
	if err := b.Replace(ctx, older); err != nil || older.Serial != 1 {
		t.Fatalf("replacing a higher serial: serial %d, %v", older.Serial, err)
	}
	appendTo(t, open(), older, entry("vm1", 4))
	older.Apply(entry("vm1", 4))
	same(t, read(t, open()), older)
}
