//go:build !nolibvirt

package libvirt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// lab is a project on a private host, as a plan would hand it to the driver.
type lab struct {
	t    *testing.T
	host *libvirttest.Host
	d    *driver
	pool *resource.Pool
	lan  *resource.Network
	img  *resource.Image
	seed *resource.Seed
	root *resource.Volume
	vm   *resource.VM
}

func labMeta(kind resource.Kind, name string) resource.Meta {
	return resource.Meta{Addr: resource.Addr{Kind: kind, Name: name}, Name: name}
}

// newLab describes a vm that boots the tiny guest with a seed and a fixed address; nothing of it is made yet.
func newLab(t *testing.T, poolPath string) *lab {
	host := libvirttest.Start(t)
	tiny := libvirttest.Guest(t)
	d := openURI(t, host.URI, imageAt(t, tiny.Disk, "qcow2", virtualSize(t, tiny.Disk)))
	d.env.Dial = host.Dial
	if poolPath == "" {
		poolPath = filepath.Join(host.Dir, "images")
	}
	salt := []byte("salt")
	l := &lab{
		t: t, host: host, d: d,
		pool: &resource.Pool{Meta: labMeta(resource.KindPool, "fast"), UUID: "0a6a3c5e-0000-5000-8000-000000000001", Path: poolPath},
		lan: &resource.Network{
			Meta: labMeta(resource.KindNetwork, "lan"), UUID: "0a6a3c5e-0000-5000-8000-000000000002", Mode: "nat", CIDR: "10.93.0.0/24",
			Reservations: []resource.Reservation{{MAC: "52:54:00:93:00:01", Address: "10.93.0.10", Name: "web"}},
		},
		img: &resource.Image{Meta: labMeta(resource.KindImage, "tiny"), Source: tiny.Disk, PoolName: "fast", File: "tiny-00112233.qcow2"},
		root: &resource.Volume{
			Meta: labMeta(resource.KindVolume, "web-root"), PoolName: "fast", File: "web-root.qcow2", Size: 128 * resource.MiB, Backing: "fast/tiny-00112233.qcow2",
		},
		seed: &resource.Seed{
			Meta: labMeta(resource.KindSeed, "web-seed"), PoolName: "fast", File: "web-seed-00112233.iso",
			MetaData: resource.NewSecret("instance-id: web\nlocal-hostname: web\n", salt), UserData: resource.NewSecret("#!/bin/sh\necho seeded > /dev/console\n", salt),
		},
		vm: &resource.VM{
			Meta: labMeta(resource.KindVM, "web"), UUID: "0a6a3c5e-0000-5000-8000-000000000003", Memory: 160 * resource.MiB, VCPUs: 1,
			Disks: []resource.Disk{{Label: "root", Source: "fast/web-root.qcow2"}, {Label: "seed", Source: "fast/web-seed-00112233.iso", ReadOnly: new(true)}},
			NICs:  []resource.NIC{{Label: "lan", Source: "lan", MAC: "52:54:00:93:00:01", Address: "10.93.0.10"}},
			Ready: &resource.Ready{SSH: &resource.ReadySSH{}, Address: &resource.Empty{}, Agent: &resource.Empty{}, Timeout: resource.Duration(4 * time.Minute)},
		},
	}
	l.pool, l.lan, l.img = normal(t, d, l.pool), normal(t, d, l.lan), normal(t, d, l.img)
	l.root, l.seed, l.vm = normal(t, d, l.root), normal(t, d, l.seed), normal(t, d, l.vm)
	return l
}

func (l *lab) all() []resource.Resource {
	return []resource.Resource{l.pool, l.lan, l.img, l.root, l.seed, l.vm}
}

func (l *lab) create() {
	l.t.Helper()
	for _, r := range l.all() {
		do(l.t, l.d, drivers.NewCreate(r, &drivers.Mark{Lineage: "lab", Addr: r.Base().Addr, Version: "0.1.0"}))
	}
}

// noDiff checks that what is on the host is what is wanted, object by object.
func (l *lab) noDiff(when string) {
	l.t.Helper()
	o := l.observe()
	for _, r := range l.all() {
		object := o.Objects[resource.Key(r)]
		if object == nil {
			l.t.Fatalf("%s: %s is not there", when, resource.Key(r))
		}
		before, after := resource.Overlay(r, r, object.Resource)
		for _, c := range resource.Diff(before, after) {
			l.t.Errorf("%s: %s.%s is %s, wanted %s", when, resource.Key(r), c.Path, resource.Format(c.Old), resource.Format(c.New))
		}
	}
}

func (l *lab) observe() *drivers.Observed {
	l.t.Helper()
	o, err := l.d.Observe(l.t.Context(), drivers.Selection{Lineage: "lab", Want: l.all()})
	check(l.t, err)
	return o
}

func (l *lab) destroy() {
	l.t.Helper()
	do(l.t, l.d, drivers.NewStop(l.vm, true))
	for _, r := range []resource.Resource{l.vm, l.seed, l.root, l.img, l.lan, l.pool} {
		do(l.t, l.d, drivers.NewDelete(r))
	}
}

func (l *lab) snapshot() libvirttest.Snapshot {
	l.t.Helper()
	s, err := l.host.Snapshot()
	check(l.t, err)
	return s
}

// A vm with UEFI, a seed and a fixed address comes up in a pool that this process can write to, grows while it runs, shows its
// console, shuts down, and is gone without a trace.
func TestGuestLives(t *testing.T) {
	l := newLab(t, "")
	l.vm.Firmware = "uefi"
	l.vm = normal(t, l.d, l.vm)
	empty := l.snapshot()
	l.create()
	l.noDiff("defined")
	do(t, l.d, drivers.NewStart(l.vm))
	l.noDiff("started")
	do(t, l.d, drivers.NewWaitReady(l.vm))
	l.noDiff("ready")
	if got := l.observe().Objects["vm/web"].Addresses["lan"]; len(got) != 1 || got[0] != "10.93.0.10" {
		t.Errorf("its addresses are %v", got)
	}
	if path := filepath.Join(l.pool.Path, l.seed.File); modeOf(t, path) != 0o600 {
		t.Errorf("others can read the seed: %s", modeOf(t, path))
	}
	if path := filepath.Join(l.pool.Path, l.img.File); modeOf(t, path)&0o222 != 0 {
		t.Errorf("the image can be written to: %s", modeOf(t, path))
	}

	l.hears("seeded")
	old := resource.Clone(l.root)
	l.root.Size = 256 * resource.MiB
	do(t, l.d, drivers.NewUpdate(old, l.root, true))
	l.noDiff("grown")
	l.hears("guest: up")
	l.console(t)

	lan := resource.Clone(l.lan)
	l.lan.Domain, l.lan.DHCPStart = "lab.example", "10.93.0.5"
	do(t, l.d, drivers.NewUpdate(lan, l.lan, true))
	l.noDiff("network changed")
	do(t, l.d, drivers.NewWaitReady(l.vm)) // ssh answers through the network that was restarted
	if nic := l.observe().Objects["vm/web"].Running.(*resource.VM).NICs[0]; nic.Source != "lan" || !*nic.Link {
		t.Errorf("the running guest's NIC is %+v", nic)
	}

	l.vm.ShutdownTimeout = resource.Duration(2 * time.Minute)
	begun := time.Now()
	do(t, l.d, drivers.NewStop(l.vm, false))
	if time.Since(begun) > 100*time.Second {
		t.Error("the guest did not heed the power button")
	}
	l.noDiff("stopped")
	l.destroy()
	if d := empty.Diff(l.snapshot()); len(d) > 0 {
		t.Errorf("traces are left:\n%s", strings.Join(d, "\n"))
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return info.Mode().Perm()
}

func (l *lab) call(t *testing.T) *call {
	t.Helper()
	s, err := l.d.session(t.Context())
	check(t, err)
	return &call{driver: l.d, session: s, ctx: t.Context(), report: func(drivers.Progress) {}}
}

// hears waits for a line in the guest's serial log: a guest may be ready before it has said all.
func (l *lab) hears(what string) {
	l.t.Helper()
	c := l.call(l.t)
	for deadline := time.Now().Add(time.Minute); ; check(l.t, pause(l.t.Context(), powerPoll)) {
		tail := c.serialTail(l.vm)
		if strings.Contains(tail, what) {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("the serial log lacks %q:\n%s", what, tail)
		}
	}
}

// console presses return until the guest's shell, which is about to start, answers. What is typed before a kernel opens its
// serial port may leave the port deaf: so the first return comes a second later.
func (l *lab) console(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in, typed := io.Pipe()
	defer typed.Close()
	heard := &heard{first: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- l.d.Console(ctx, l.vm, in, heard) }()
	go func() {
		for pause(ctx, time.Second) == nil {
			_, _ = typed.Write([]byte("\r"))
		}
	}()
	select {
	case <-heard.first:
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the console ends with %v", err)
		}
	case err := <-ended:
		t.Errorf("the console ends with %v before the guest says anything", err)
	}
}

type heard struct {
	once  sync.Once
	first chan struct{}
}

func (h *heard) Write(p []byte) (int, error) {
	if len(bytes.TrimSpace(p)) > 0 {
		h.once.Do(func() { close(h.first) })
	}
	return len(p), nil
}

// The daemon may see other folders than this process, as that of a private host does below /var/lib/libvirt: then the bits go
// through libvirt. A guest that never gets ready ends the waiting with the end of its serial log.
func TestBitsGoThroughLibvirtWhereFoldersDiffer(t *testing.T) {
	l := newLab(t, "/var/lib/libvirt/images")
	empty := l.snapshot()
	l.create()
	l.noDiff("defined")
	c := l.call(t)
	pool, err := c.pool("fast")
	check(t, err)
	defer freePool(pool)
	if folder, err := c.folderOf(pool); err != nil || folder != "" {
		t.Errorf("%q is taken for a folder of this machine: %v", folder, err)
	}
	do(t, l.d, drivers.NewStart(l.vm))
	l.vm.Ready = &resource.Ready{SSH: &resource.ReadySSH{Port: 4}, Agent: &resource.Empty{}, Timeout: resource.Duration(40 * time.Second)}
	_, err = l.d.Do(t.Context(), drivers.NewWaitReady(l.vm), nil)
	if !errors.Is(err, drivers.ErrTimeout) || !strings.Contains(err.Error(), "serial console:\n") {
		t.Errorf("waiting in vain ends with %v", err)
	}
	l.destroy()
	if d := empty.Diff(l.snapshot()); len(d) > 0 {
		t.Errorf("traces are left:\n%s", strings.Join(d, "\n"))
	}
}

// An import that was cut off leaves a file without its head; the next one sees that and starts over.
func TestCutOffImportIsDoneAgain(t *testing.T) {
	l := newLab(t, "/var/lib/libvirt/images")
	do(t, l.d, drivers.NewCreate(l.pool, nil))
	c := l.call(t)
	pool, err := c.pool("fast")
	check(t, err)
	defer freePool(pool)
	bits, err := l.d.env.Images.Fetch(t.Context(), l.img, nil)
	check(t, err)
	content, err := os.ReadFile(bits.Path)
	check(t, err)
	half := append([]byte{}, content...)
	clear(half[:headSize])
	check(t, c.upload(pool, upload{name: l.img.File, content: bytes.NewReader(half), size: int64(len(half)), format: "qcow2", mode: 0o444}))

	result := do(t, l.d, drivers.NewCreate(l.img, nil))
	if img, ok := result.Object.(*resource.Image); !ok || img.Digest != bits.Digest {
		t.Errorf("the import's result is %+v", result.Object)
	}
	vol, err := c.volume("fast/" + l.img.File)
	check(t, err)
	defer freeVolume(vol)
	have := make([]byte, len(content))
	check(t, c.download(vol, 0, have))
	if !bytes.Equal(have, content) {
		t.Error("the imported bits differ from the image's")
	}
	if live, err := readVolume(vol); err != nil || live.format != "qcow2" {
		t.Errorf("libvirt sees a volume of format %v: %v", live, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	again := resource.Clone(l.img)
	again.File = "cancelled.qcow2"
	_, err = l.d.Do(ctx, drivers.NewCreate(again, nil), func(drivers.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import ends with %v", err)
	}
	if _, err := c.volume("fast/cancelled.qcow2"); !errors.Is(err, drivers.ErrNotFound) {
		t.Errorf("a cancelled import leaves its volume: %v", err)
	}
}

// The daemon dies and comes back: a call that was under way names its object, and what is asked of the driver goes on.
func TestDaemonDies(t *testing.T) {
	l := newLab(t, "")
	do(t, l.d, drivers.NewCreate(l.pool, nil))
	check(t, l.host.KillDaemon())
	do(t, l.d, drivers.NewCreate(l.lan, nil))
	c := l.call(t)
	check(t, l.host.KillDaemon())
	if err := c.createPool(l.pool); !errors.Is(err, drivers.ErrUnavailable) || !strings.Contains(err.Error(), "pool fast") {
		t.Errorf("a call on a dead connection ends with %v", err)
	}
	if o := l.observe(); o.Objects["pool/fast"] == nil || o.Objects["network/lan"] == nil {
		t.Errorf("after the daemon came back there are %d objects", len(o.Objects))
	}
}

// What needs a restart is changed while the vm is off; it starts with it, and libvirt's answer is what was wanted.
func TestDefinitionsChange(t *testing.T) {
	l := newLab(t, "")
	l.create()
	for _, c := range []struct {
		name   string
		change func(*resource.VM)
	}{
		{"cpu", func(vm *resource.VM) { vm.CPU = "qemu64" }},
		{"an old machine", func(vm *resource.VM) { vm.Machine = "pc" }},
		{"a versioned machine", func(vm *resource.VM) { vm.Machine = "pc-q35-6.2" }},
		{"uefi", func(vm *resource.VM) { vm.Machine, vm.Firmware = "q35", "uefi" }},
		{"secure boot", func(vm *resource.VM) { vm.SecureBoot = new(true) }},
		{"bios again", func(vm *resource.VM) { vm.Firmware, vm.SecureBoot = "bios", nil }},
		{"the default cpu again", func(vm *resource.VM) { vm.CPU = "" }},
		{"a seed on a cdrom", func(vm *resource.VM) { vm.Disks[1].Bus, vm.Disks[1].Device = "sata", "cdrom" }},
		{"another order of disks", func(vm *resource.VM) { vm.Disks[0].Bus, vm.Disks[0].Cache = "scsi", "unsafe" }},
		{"graphics", func(vm *resource.VM) { vm.Graphics = &resource.Graphics{Port: 5999} }},
		{"no NIC", func(vm *resource.VM) { vm.NICs = nil }},
	} {
		old := l.vm
		next := resource.Clone(old)
		c.change(next)
		next = normal(t, l.d, next)
		live := l.observe().Objects["vm/web"].Resource
		before, after := resource.Overlay(next, old, live)
		do(t, l.d, drivers.NewUpdate(before, after, false))
		do(t, l.d, drivers.NewUpdate(before, after, false))
		l.vm = next
		l.noDiff(c.name)
		do(t, l.d, drivers.NewStart(l.vm))
		l.noDiff(c.name + ", started")
		o := l.observe().Objects["vm/web"]
		for _, d := range resource.Diff(o.Resource, o.Running) {
			t.Errorf("%s: the started guest's %s is %s, not %s", c.name, d.Path, resource.Format(d.New), resource.Format(d.Old))
		}
		do(t, l.d, drivers.NewStop(l.vm, true))
		if t.Failed() {
			t.FailNow()
		}
	}
	l.destroy()
}

// What somebody added by hand, and what this driver knows nothing of, stays through an update.
func TestUpdateKeepsWhatItDoesNotKnow(t *testing.T) {
	l := newLab(t, "")
	l.create()
	c := l.call(t)
	dom, err := c.domain(l.vm)
	check(t, err)
	defer freeDomain(dom)
	def, err := domainTree(dom, 0)
	check(t, err)
	foreign := xmltree.New("x:y", "xmlns:x", "urn:other")
	foreign.SetText("kept")
	def.Ensure("metadata").Add(foreign)
	def.Ensure("iothreads").SetText("1")
	def.Ensure("devices").Add(xmltree.New("watchdog", "model", "i6300esb"),
		xmltree.New("graphics", "type", "vnc", "autoport", "yes", "passwd", "hidden"))
	defined, err := c.conn.DomainDefineXML(def.String())
	check(t, err)
	freeDomain(defined)

	next := resource.Clone(l.vm)
	next.Memory, next.MaxMemory, next.Title = 192*resource.MiB, 192*resource.MiB, "new"
	do(t, l.d, drivers.NewUpdate(l.vm, next, false))
	l.vm = next
	l.noDiff("updated")
	def, err = domainTree(dom, libvirt.DOMAIN_XML_INACTIVE|libvirt.DOMAIN_XML_SECURE)
	check(t, err)
	if def.Get("devices", "graphics").Attr("passwd") != "hidden" {
		t.Error("the password of the graphical console is lost")
	}
	if def.Get("metadata", "x:y").Text() != "kept" || def.Get("iothreads").Text() != "1" || def.Get("devices", "watchdog") == nil || readMark(def.Get("metadata")) == nil {
		t.Errorf("something is lost:\n%s", def)
	}
	l.destroy()
}

// A host whose policy keeps the pool's folder for disks does not let the guest write its serial log there; it starts all the same.
func TestGuestStartsWithoutALogWhereItMayNotWrite(t *testing.T) {
	l := newLab(t, "")
	l.create()
	// A folder in the log's place cannot be written to, even by root.
	log := filepath.Join(l.pool.Path, serialLog(l.vm))
	check(t, os.Mkdir(log, 0o700))
	do(t, l.d, drivers.NewStart(l.vm))
	if power := l.observe().Objects["vm/web"].Power; power != drivers.PowerOn {
		t.Errorf("the guest is %s", power)
	}
	l.noDiff("started")
	check(t, os.Remove(log))
	l.destroy()
}
