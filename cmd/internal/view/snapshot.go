package view

import (
	"fmt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Snapshot is a snapshot and whose it is.
type Snapshot struct {
	VM resource.Addr `json:"vm"`
	drivers.SnapshotInfo
}

// Snapshots prints a list of snapshots.
func (p *Printer) Snapshots(list []Snapshot, asJSON bool) error {
	if asJSON {
		if list == nil {
			list = []Snapshot{}
		}
		return p.JSON(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(p.Err, "No snapshots.")
		return nil
	}
	rows := make([][]string, len(list))
	for i, s := range list {
		rows[i] = []string{s.VM.String(), clean(s.Name), s.Created.Format("2006-01-02 15:04:05Z"), SnapshotContent(s.SnapshotInfo)}
	}
	return p.table([]string{"VM", "SNAPSHOT", "TAKEN", "HOLDS"}, rows)
}

// SnapshotContent says what is in a snapshot.
func SnapshotContent(s drivers.SnapshotInfo) string {
	switch {
	case s.Memory:
		return "disks and memory"
	case s.Quiesced:
		return "disks of the running guest, file systems at rest"
	case s.Running:
		return "disks of the running guest, not at rest"
	}
	return "disks"
}
