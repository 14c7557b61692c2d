package engine

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// importWriter puts together the blocks that describe what hosts have.
type importWriter struct {
	in      planner.Input
	only    string // label of the one host that counts; empty: all
	found   []*found
	others  []*config.Block          // of what is only referred to
	named   map[string]resource.Addr // what the files or others name, by host and key
	pools   map[string]bool          // hosts on which pools must be named
	left    []string                 // what of the guests is in no block
	learned []string                 // what the last learn wrote down
}

func newImportWriter(in planner.Input, only string) *importWriter {
	w := &importWriter{in: in, only: only, named: map[string]resource.Addr{}, pools: map[string]bool{}}
	for addr, r := range in.Desired.All() {
		h, ok := in.Hosts[r.Base().Host]
		if !ok || r.Kind() == resource.KindHost {
			continue
		}
		if n, err := h.Rules.Normalize(r); err == nil {
			r = n
		}
		w.named[r.Base().Host+" "+resource.Key(r)] = addr
		if pool, ok := r.(*resource.Pool); ok && !pool.Implicit {
			w.pools[r.Base().Host] = true
		}
	}
	return w
}

// find lists what matches on the hosts and is neither marked nor in the files.
func (w *importWriter) find(kind resource.Kind, glob string) ([]*found, error) {
	if _, ok := w.in.Hosts[w.only]; w.only != "" && !ok {
		return nil, fmt.Errorf("--host %s: there is no host.%s", w.only, w.only)
	}
	managed := 0
	for _, label := range slices.Sorted(maps.Keys(w.in.Hosts)) {
		if w.only == "" || w.only == label {
			managed += w.findOn(label, kind, glob)
		}
	}
	if len(w.found) == 0 {
		return nil, fmt.Errorf("no %s matches %q that is not managed already (%d are)", kind, glob, managed)
	}
	for _, f := range w.found {
		f.addr = w.address(kind, f.id)
		w.named[f.host+" "+string(kind)+"/"+f.id] = f.addr
		f.block = config.NewBlock(f.live.Resource, f.addr.Name)
		if vm, ok := f.live.Resource.(*resource.VM); ok {
			w.notePools(vm, f.host)
		}
	}
	return w.found, nil
}

// findOn does that on one host, and counts what matches but is managed already.
func (w *importWriter) findOn(label string, kind resource.Kind, glob string) (managed int) {
	objects := w.in.Hosts[label].Observed.Objects
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		id, ok := strings.CutPrefix(key, string(kind)+"/")
		if hit, err := path.Match(glob, id); !ok || err != nil || !hit {
			continue
		}
		o := objects[key]
		if _, ours := w.named[label+" "+key]; ours || o.Mark != nil && !o.Mark.Released {
			managed++
			continue
		}
		w.found = append(w.found, &found{host: label, id: id, live: o})
	}
	return managed
}

// notePools remembers that disks of the vm are in other pools than the one that is used when none is declared.
func (w *importWriter) notePools(vm *resource.VM, host string) {
	for _, d := range vm.Disks {
		if pool, _, ok := strings.Cut(d.Source, "/"); ok && pool != "" && pool != w.usualPool(host) {
			w.pools[host] = true
		}
	}
}

// usualPool is the pool of the host that is used when none is declared.
func (w *importWriter) usualPool(host string) string {
	return w.in.Hosts[host].Rules.Defaults().PoolName
}

// setFormat writes the format of a disk where it is not the host's usual one.
func (w *importWriter) setFormat(b *config.Block, at, host, format string) {
	if format != w.in.Hosts[host].Rules.Defaults().DiskFormat {
		set(b, at, format)
	}
}

// address makes an address for the object, by which nothing else is known.
func (w *importWriter) address(kind resource.Kind, id string) resource.Addr {
	name := id[strings.LastIndexByte(id, '/')+1:]
	if kind == resource.KindVolume {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	label := labelOf(kind, name)
	taken := func(label string) bool {
		a := resource.Addr{Kind: kind, Name: label}
		for _, other := range w.named {
			if a.Contains(other) {
				return true
			}
		}
		return false
	}
	free := label
	for n := 2; taken(free); n++ {
		free = fmt.Sprintf("%s_%d", label, n)
	}
	return resource.Addr{Kind: kind, Name: free}
}

// labelOf makes what can stand as a label of any name.
func labelOf(kind resource.Kind, name string) string {
	label := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || config.ValidLabel("a"+string(r)) {
			return r
		}
		return '_'
	}, name)
	if !config.ValidLabel(label) {
		label = string(kind) + "_" + label
	}
	return label
}

// describe writes down what no default can tell; learn adds what differs from the defaults.
func (w *importWriter) describe(f *found) {
	w.host(f.block, f.host)
	switch r := f.live.Resource.(type) {
	case *resource.VM:
		w.vm(f, r)
	case *resource.Network:
		if r.Mode != "" && r.Mode != "nat" {
			set(f.block, "mode", r.Mode)
		}
		set(f.block, "cidr", r.CIDR)
		set(f.block, "domain", r.Domain)
	case *resource.Pool:
		set(f.block, "path", r.Path)
	case *resource.Volume:
		w.pool(f.block, "pool", f.host, r.PoolName)
		set(f.block, "size", r.Size)
		w.setFormat(f.block, "format", f.host, r.Format)
	}
}

// set writes a value down unless it is the zero one. The paths are those of the language, so that it cannot fail.
func set[T comparable](b *config.Block, path string, value T) {
	var zero T
	if value == zero {
		return
	}
	if err := b.Set(path, value); err != nil {
		panic(err)
	}
}

// host says where the block's object lives, where that is not clear.
func (w *importWriter) host(b *config.Block, label string) {
	hosts := 0
	for h := range resource.Of[*resource.Host](w.in.Desired) {
		if h.Label() == label && h.Default {
			return
		}
		hosts++
	}
	if hosts > 1 {
		set(b, "host", resource.Addr{Kind: resource.KindHost, Name: label})
	}
}

func (w *importWriter) vm(f *found, vm *resource.VM) {
	set(f.block, "vcpus", vm.VCPUs)
	set(f.block, "memory", vm.Memory)
	set(f.block, "title", vm.Title)
	set(f.block, "description", vm.Description)
	set(f.block, "autostart", vm.Autostart != nil && *vm.Autostart)
	if vm.Graphics != nil && vm.Graphics.Listen != "" { // without an address the block's default would be a change
		set(f.block, "graphics.type", vm.Graphics.Type)
	}
	for _, d := range vm.Disks {
		w.disk(f, d)
	}
	for _, n := range vm.NICs {
		at := "nic." + n.Label
		switch {
		case n.Source != "":
			set(f.block, at+".network", w.refer(&resource.Network{Meta: resource.Meta{Host: f.host, Name: n.Source}}))
		case n.Bridge != "":
			set(f.block, at+".bridge", n.Bridge)
		case n.User != nil && *n.User:
			set(f.block, at+".user", true)
		default:
			w.leave(f, "The nic %s is on no network or bridge: it is left as it is", n.Label)
		}
	}
}

// leave notes, in the block too, what of the guest no block says.
func (w *importWriter) leave(f *found, format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "."
	f.block.Comment(text)
	w.left = append(w.left, fmt.Sprintf("%s: %s", f.addr, text))
}

// disk describes a disk: as the vm's own when nothing else uses it.
func (w *importWriter) disk(f *found, d resource.Disk) {
	at := "disk." + d.Label
	pool, file, ok := strings.Cut(d.Source, "/")
	live := w.in.Hosts[f.host].Observed.Objects["volume/"+d.Source]
	if !ok || live == nil {
		if d.Source != "" {
			w.leave(f, "The disk %s (%s) lies in no active pool: it is left as it is", d.Label, d.Source)
		}
		return
	}
	vol, _ := live.Resource.(*resource.Volume)
	own := d.Device != "cdrom" && (d.ReadOnly == nil || !*d.ReadOnly) && vol != nil && slices.Equal(live.Users, []string{"vm/" + f.id})
	if _, known := w.named[f.host+" volume/"+d.Source]; known || !own {
		set(f.block, at+".volume", w.refer(&resource.Volume{Meta: resource.Meta{Host: f.host, Name: file}, PoolName: pool, File: file}))
		return
	}
	set(f.block, at+".size", vol.Size)
	w.setFormat(f.block, at+".format", f.host, vol.Format)
	w.pool(f.block, at+".pool", f.host, pool)
}

// pool names the pool where it is not the one that is used without being named.
func (w *importWriter) pool(b *config.Block, at, host, name string) {
	if w.pools[host] {
		set(b, at, w.refer(&resource.Pool{Meta: resource.Meta{Host: host, Name: name}}))
	}
}

// refer gives the address of an object that is used: the files' or, with managed = false, one of its own.
func (w *importWriter) refer(r resource.Resource) resource.Addr {
	base := r.Base()
	at := base.Host + " " + resource.Key(r)
	addr, ok := w.named[at]
	if declared, _ := w.in.Desired.Get(addr).(*resource.Pool); ok && (declared == nil || !declared.Implicit) {
		return addr
	}
	_, id, _ := strings.Cut(resource.Key(r), "/")
	if !ok {
		addr = w.address(r.Kind(), id)
	}
	w.named[at] = addr
	b := config.NewBlock(r, addr.Name)
	if err := b.Set("managed", false); err != nil {
		panic(err)
	}
	w.host(b, base.Host)
	if base.Name != addr.Name {
		set(b, "name", base.Name)
	}
	switch r := r.(type) {
	case *resource.Volume:
		w.pool(b, "pool", base.Host, r.PoolName)
	case *resource.Pool:
		set(b, "default", base.Name == w.usualPool(base.Host) && ok)
	}
	w.others = append(w.others, b)
	return addr
}

// all gives the blocks, each import behind the block that it is about.
func (w *importWriter) all() []*config.Block {
	out := slices.Clone(w.others)
	for _, f := range w.found {
		out = append(out, f.block, config.NewImport(f.addr, f.id))
	}
	return out
}

func (w *importWriter) targets() []resource.Addr {
	var out []resource.Addr
	for _, f := range w.found {
		out = append(out, f.addr)
	}
	return out
}

// learn writes down what the plan would change about the objects, and gives what cannot be written.
func (w *importWriter) learn(p *planner.Plan) (left []string) {
	w.learned = nil
	for _, f := range w.found {
		for _, c := range p.Changes {
			if c.Addr.Owner() == f.addr {
				left = append(left, w.learnChange(f, c)...)
			}
		}
		for _, finding := range p.Findings {
			if finding.Addr.Owner() == f.addr && finding.Severity == planner.SeverityError && len(w.learned) == 0 {
				left = append(left, fmt.Sprintf("%s: %s", finding.Addr, finding.Detail))
			}
		}
	}
	return left
}

func (w *importWriter) learnChange(f *found, c planner.Change) (left []string) {
	if c.Power == "start" && c.Addr == f.addr {
		w.note(f, "running", false)
		return nil
	}
	for _, field := range c.Fields {
		if field.Impact == drivers.ImpactRecord || field.Note == planner.NoteRunning {
			continue // nothing of the definition changes
		}
		if why := w.learnField(f, c, field); why != "" {
			left = append(left, why)
		}
	}
	if c.Action != planner.ActionAdopt && len(c.Fields) == 0 {
		left = append(left, fmt.Sprintf("%s: %s: %s", c.Addr, c.Action, c.Cause))
	}
	return left
}

func (w *importWriter) note(f *found, path string, value any) {
	if err := f.block.Set(path, value); err == nil {
		w.learned = append(w.learned, fmt.Sprintf("%s: %s is %s, and would not stay so", f.addr, path, resource.Format(value)))
	}
}

// learnField gives the field the value that the host has. It tells why it cannot, if so.
func (w *importWriter) learnField(f *found, c planner.Change, field planner.FieldChange) string {
	live, at := f.live, field.Path
	if c.Addr.Part != "" {
		at = c.Addr.Part + "." + field.Path
		vm, _ := f.live.Resource.(*resource.VM)
		live = nil
		if d := vm.Disk(strings.TrimPrefix(c.Addr.Part, "disk.")); d != nil {
			live = w.in.Hosts[f.host].Observed.Objects["volume/"+d.Source]
		}
	}
	if live != nil {
		for _, lf := range resource.Fields(live.Resource) {
			if lf.Path == field.Path {
				w.note(f, at, lf.Value)
				return ""
			}
		}
	}
	return fmt.Sprintf("%s: %s is not set there, and would become %s", c.Addr, field.Path, field.New)
}
