package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Object is a recorded object and what its host has.
type Object struct {
	Record *state.Record
	Live   *drivers.Object // nil when it is not on the host
}

// table prints rows under headings in aligned columns.
func (p *Printer) table(headings []string, rows [][]string) error {
	widths := make([]int, len(headings))
	for _, row := range append([][]string{headings}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], width(clean(cell)))
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(pad(clean(cell), widths[i]) + "  ")
		}
		return strings.TrimRight(b.String(), " ")
	}
	var b strings.Builder
	b.WriteString(p.style.bold(line(headings)) + "\n")
	for _, row := range rows {
		b.WriteString(line(row) + "\n")
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}

type objectJSON struct {
	Addr      string          `json:"addr"`
	Kind      string          `json:"kind"`
	Name      string          `json:"name"`
	Host      string          `json:"host,omitempty"`
	Status    state.Status    `json:"status"`
	DependsOn []resource.Addr `json:"depends_on"`
	Recorded  map[string]any  `json:"recorded"`
	Sensitive []string        `json:"sensitive"`      // paths
	Live      *liveJSON       `json:"live,omitempty"` // not among records
}

type liveJSON struct {
	Present   bool                `json:"present"`
	Object    map[string]any      `json:"object,omitempty"`
	Power     drivers.Power       `json:"power,omitempty"`
	Addresses map[string][]string `json:"addresses,omitempty"`
	Users     []string            `json:"users,omitempty"`
	Path      string              `json:"path,omitempty"`
	Capacity  uint64              `json:"capacity,omitempty"`
	Free      uint64              `json:"free,omitempty"`
}

func recordJSON(r *state.Record) objectJSON {
	m := r.Object.Base()
	recorded, sensitive := resource.Plain(r.Object)
	return objectJSON{
		Addr: m.Addr.String(), Kind: string(r.Object.Kind()), Name: m.Name, Host: m.Host, Status: r.Status,
		DependsOn: append([]resource.Addr{}, r.DependsOn...), Recorded: recorded, Sensitive: list(sensitive),
	}
}

func (o Object) json() objectJSON {
	j := recordJSON(o.Record)
	j.Live = &liveJSON{}
	if l := o.Live; l != nil {
		object, _ := resource.Plain(l.Resource)
		*j.Live = liveJSON{
			Present: true, Object: object, Power: l.Power, Addresses: l.Addresses, Users: l.Users, Path: l.Path,
			Capacity: uint64(l.Capacity), Free: uint64(l.Free),
		}
	}
	return j
}

// VMs prints the vms among objects as a table, or with asJSON as a list.
func (p *Printer) VMs(objects []Object, asJSON bool) error {
	forms, rows := []objectJSON{}, [][]string{}
	for _, o := range objects {
		vm, ok := o.Record.Object.(*resource.VM)
		if !ok {
			continue
		}
		forms = append(forms, o.json())
		if l, ok := o.live().(*resource.VM); ok {
			vm = l
		}
		m := o.Record.Object.Base()
		rows = append(rows, []string{m.Addr.String(), m.Host, o.powerText(), fmt.Sprint(max(vm.VCPUs, 1)), sizeText(vm.Memory), o.addressText()})
	}
	if asJSON {
		return p.JSON(forms)
	}
	if len(rows) == 0 {
		fmt.Fprintln(p.Err, "No vms.")
		return nil
	}
	return p.table([]string{"VM", "HOST", "POWER", "VCPUS", "MEMORY", "ADDRESSES"}, rows)
}

func sizeText(s resource.Size) string {
	if s == 0 {
		return "-"
	}
	return s.String()
}

func (o Object) live() resource.Resource {
	if o.Live == nil {
		return nil
	}
	return o.Live.Resource
}

// powerText is the power state, or why there is none.
func (o Object) powerText() string {
	switch {
	case o.Live == nil:
		return "absent"
	case o.Live.Power == "":
		return "-"
	}
	return string(o.Live.Power)
}

// addressText lists what the guest has, by NIC.
func (o Object) addressText() string {
	if o.Live == nil {
		return "-"
	}
	var parts []string
	for _, nic := range slices.Sorted(maps.Keys(o.Live.Addresses)) {
		parts = append(parts, o.Live.Addresses[nic]...)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// Records prints recorded objects as a table, or with asJSON as a list.
func (p *Printer) Records(records []*state.Record, asJSON bool) error {
	if asJSON {
		return p.recordList(records)
	}
	if len(records) == 0 {
		fmt.Fprintln(p.Err, "Nothing is recorded.")
		return nil
	}
	var rows [][]string
	for _, r := range records {
		m := r.Object.Base()
		rows = append(rows, []string{m.Addr.String(), string(r.Object.Kind()), m.Host, nameOf(r.Object), string(r.Status)})
	}
	return p.table([]string{"ADDRESS", "KIND", "HOST", "NAME", "STATUS"}, rows)
}

func (p *Printer) recordList(records []*state.Record) error {
	forms := []objectJSON{}
	for _, r := range records {
		forms = append(forms, recordJSON(r))
	}
	return p.JSON(forms)
}

// nameOf is what the host calls an object: for storage its pool and file.
func nameOf(r resource.Resource) string {
	if id := resource.VolumeID(r); id != "" {
		return id
	}
	return r.Base().Name
}
