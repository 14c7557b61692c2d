package sim

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// Observe implements drivers.Driver. It also brings the host's file up to date with its log.
func (d *driver) Observe(ctx context.Context, sel drivers.Selection) (*drivers.Observed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.host.strike(ctx, opRef{verb: "observe"}, before); err != nil {
		return nil, err
	}
	h := d.host
	h.mu.Lock()
	defer h.mu.Unlock()
	var out *drivers.Observed
	err := h.store.change(func(t *tx) error {
		if t.Unavailable != "" {
			return fmt.Errorf("%s: %w", t.Unavailable, drivers.ErrUnavailable)
		}
		out = newView(t.Data).observe(sel)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, h.store.fold()
}

// view answers questions about a host whose data does not change meanwhile.
type view struct {
	*Data
	users map[string][]string // Keys of users, by Key
}

func newView(d *Data) *view {
	v := &view{Data: d, users: map[string][]string{}}
	for name, vm := range d.VMs {
		for key := range vm.uses() {
			v.users[key] = append(v.users[key], "vm/"+name)
		}
	}
	for id, vol := range d.Volumes {
		if vol.Backing != "" && d.volume(id) != nil {
			v.users["volume/"+vol.Backing] = append(v.users["volume/"+vol.Backing], "volume/"+id)
		}
	}
	for _, u := range v.users {
		slices.Sort(u)
	}
	return v
}

// uses gives the Keys of what the definition and the running guest use.
func (vm *VM) uses() map[string]bool {
	out := map[string]bool{}
	for _, r := range vm.both() {
		for _, d := range r.Disks {
			pool, _, _ := strings.Cut(d.Source, "/")
			out["volume/"+d.Source], out["pool/"+pool] = true, true
		}
		for _, n := range r.NICs {
			out["network/"+n.Source] = true
		}
	}
	return out
}

func (v *view) observe(sel drivers.Selection) *drivers.Observed {
	out := &drivers.Observed{
		Facts: drivers.Facts{
			Driver: "sim", Version: "sim of QEMU 7.2", UUID: v.UUID, Hostname: v.Hostname, Arch: v.Arch, CPUs: v.CPUs,
			Memory: v.Memory, FreeMemory: v.freeMemory(), DomainTypes: slices.Clone(v.DomainTypes),
		},
		Objects: map[string]*drivers.Object{},
	}
	v.guestFacts(sel.Want, &out.Facts)
	for _, want := range sel.Want {
		key := resource.Key(want)
		if out.Objects[key] != nil {
			continue
		}
		if o := v.object(want); o != nil {
			o.Users = slices.Clone(v.users[key])
			out.Objects[key] = o
		}
	}
	for name, vm := range v.VMs {
		if key := "vm/" + name; belongs(sel, vm.Mark) && out.Objects[key] == nil {
			out.Objects[key] = v.vm(name, vm, markedAddr(vm.Mark))
		}
	}
	for name, n := range v.Networks {
		if key := "network/" + name; belongs(sel, n.Mark) && out.Objects[key] == nil {
			out.Objects[key] = v.network(name, n, markedAddr(n.Mark))
			out.Objects[key].Users = slices.Clone(v.users[key])
		}
	}
	if sel.All {
		v.observeRest(out)
	}
	return out
}

// belongs tells whether what bears the mark is asked for, wanted or not.
func belongs(sel drivers.Selection, m *drivers.Mark) bool {
	return sel.All || m != nil && sel.Lineage != "" && m.Lineage == sel.Lineage
}

func markedAddr(m *drivers.Mark) resource.Addr {
	if m == nil {
		return resource.Addr{}
	}
	return m.Addr
}

// observeRest adds the pools and volumes that nobody wants.
func (v *view) observeRest(out *drivers.Observed) {
	for name, p := range v.Pools {
		if key := "pool/" + name; out.Objects[key] == nil {
			out.Objects[key] = v.pool(name, p, resource.Addr{})
		}
	}
	for id := range v.Volumes {
		key := "volume/" + id
		pool, file, _ := strings.Cut(id, "/")
		if vol := v.volume(id); vol != nil && !v.Pools[pool].Inactive && out.Objects[key] == nil {
			out.Objects[key] = v.storage(&resource.Volume{Meta: resource.Meta{Name: file}, PoolName: pool, File: file}, vol)
			out.Objects[key].Users = slices.Clone(v.users[key])
		}
	}
}

// object finds what the host has of want, or nil.
func (v *view) object(want resource.Resource) *drivers.Object {
	base := want.Base()
	switch want := want.(type) {
	case *resource.Pool:
		if p := v.Pools[base.Name]; p != nil {
			return v.pool(base.Name, p, base.Addr)
		}
	case *resource.Network:
		if n := v.Networks[base.Name]; n != nil {
			return v.network(base.Name, n, base.Addr)
		}
	case *resource.VM:
		if vm := v.VMs[base.Name]; vm != nil {
			return v.vm(base.Name, vm, base.Addr)
		}
	case *resource.Image, *resource.Volume, *resource.Seed:
		if vol := v.volume(resource.VolumeID(want)); vol != nil {
			return v.storage(want, vol)
		}
	}
	return nil
}

func (v *view) pool(name string, p *Pool, addr resource.Addr) *drivers.Object {
	r := resource.Clone(&p.Pool)
	r.Name, r.Addr = name, addr
	o := &drivers.Object{Resource: r, Power: power(!p.Inactive), Capacity: p.Capacity, Free: v.free(name), Path: p.Path}
	for _, id := range slices.Sorted(maps.Keys(v.Volumes)) {
		if file, ok := strings.CutPrefix(id, name+"/"); ok && !p.Inactive {
			o.Volumes = append(o.Volumes, file)
		}
	}
	return o
}

func (v *view) network(name string, n *Network, addr resource.Addr) *drivers.Object {
	r := resource.Clone(&n.Network)
	r.Name, r.Addr = name, addr
	canonicalNetwork(r)
	return &drivers.Object{Resource: r, Power: power(!n.Inactive), Mark: cloneMark(n.Mark)}
}

// storage shows a volume as the kind that it is wanted as. What a volume has no place for, its File stands for: that is
// taken over from want.
func (v *view) storage(want resource.Resource, vol *Volume) *drivers.Object {
	pool, file, _ := strings.Cut(resource.VolumeID(want), "/")
	meta := resource.Meta{Addr: want.Base().Addr, Name: want.Base().Name}
	o := &drivers.Object{Power: drivers.PowerOff, Path: path.Join(v.Pools[pool].Path, file), Taken: vol.use()}
	switch want := want.(type) {
	case *resource.Image:
		o.Resource = &resource.Image{Meta: meta, PoolName: pool, File: file, Source: want.Source, Checksum: want.Checksum, Format: vol.Format}
	case *resource.Volume:
		o.Resource = &resource.Volume{Meta: meta, PoolName: pool, File: file, Size: vol.Size, Format: vol.Format, Backing: vol.Backing}
	case *resource.Seed:
		o.Resource = &resource.Seed{Meta: meta, PoolName: pool, File: file}
	}
	return o
}

func (v *view) vm(name string, vm *VM, addr resource.Addr) *drivers.Object {
	r := observedVM(&vm.VM, name, addr)
	o := &drivers.Object{Resource: r, Power: vm.Power, Saved: vm.Saved && !vm.on(), Kept: vm.kept(), Mark: cloneMark(vm.Mark)}
	for _, snap := range vm.Snapshots {
		o.Snapshots = append(o.Snapshots, snap.SnapshotInfo)
	}
	if !vm.on() {
		return o
	}
	live := observedVM(vm.running(), name, addr)
	if live.Graphics != nil && (r.Graphics == nil || r.Graphics.Port == 0) {
		live.Graphics.Port = 0 // the host's choice
	}
	o.Running = live
	for _, nic := range live.NICs {
		n := v.Networks[nic.Source]
		if n == nil || v.Guests[name].Silent {
			continue
		}
		if a, fresh := n.lease(nic.MAC); a != "" && !fresh {
			if o.Addresses == nil {
				o.Addresses = map[string][]string{}
			}
			o.Addresses[nic.Label] = []string{a}
		}
	}
	return o
}

// kept lists what goes with the vm.
func (vm *VM) kept() []string {
	var out []string
	for _, s := range vm.Snapshots {
		out = append(out, "snapshot "+s.Name)
	}
	if vm.Firmware == "uefi" {
		out = append(out, drivers.KeptNVRAM)
	}
	if vm.TPM != nil {
		out = append(out, drivers.KeptTPM)
	}
	if vm.Saved && !vm.on() {
		out = append(out, drivers.KeptMemory)
	}
	return out
}

func observedVM(vm *resource.VM, name string, addr resource.Addr) *resource.VM {
	r := resource.Clone(vm)
	r.Name, r.Addr = name, addr
	canonicalVM(r)
	return r
}

func power(on bool) drivers.Power {
	if on {
		return drivers.PowerOn
	}
	return drivers.PowerOff
}

func cloneMark(m *drivers.Mark) *drivers.Mark {
	if m == nil {
		return nil
	}
	c := *m
	return &c
}
