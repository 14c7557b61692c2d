//go:build soak && !nolibvirt

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// TestConvergesOnLibvirtsTestHost does as much with libvirt's own make-believe host, in a daemon of its own.
func TestConvergesOnLibvirtsTestHost(t *testing.T) {
	t.Setenv("VMPLAN_CACHE", t.TempDir())
	host := libvirttest.Start(t)
	uri := strings.Replace(host.URI, "qemu+unix:///system", "test+unix:///default", 1)
	keep, err := libvirt.NewConnect(uri) // the daemon forgets this host with its last connection
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	g := newVirshGround(t, uri, filepath.Join(host.Dir, "theirs"))
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(15),
			can:  abilities{uri: uri, poolPath: filepath.Join(host.Dir, "pools"), running: 4, memory: []int{512, 1024, 2048}},
			open: func(string) (ground, error) { return g, nil },
		}
	}, 300, 1, false)
}

// TestConvergesOnQEMU does as much with real guests: what is edited by hand is edited by virsh.
func TestConvergesOnQEMU(t *testing.T) {
	t.Setenv("VMPLAN_CACHE", t.TempDir())
	host := libvirttest.Start(t)
	g := newVirshGround(t, host.URI, filepath.Join(host.Dir, "theirs"))
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(12),
			can: abilities{
				uri: host.URI, domainType: "qemu", poolPath: filepath.Join(host.Dir, "pools"), images: true, resize: true, // nobody is in the guests who could take or give devices and memory
				running: 2, memory: []int{64, 96, 128},
			},
			open: func(string) (ground, error) { return g, nil },
		}
	}, 60, 1, false)
}

// virshGround is a host that virsh works on.
type virshGround struct{ uri string }

// newVirshGround adds another's pool to the host.
func newVirshGround(t *testing.T, uri, theirs string) virshGround {
	t.Helper()
	g := virshGround{uri}
	if err := os.MkdirAll(theirs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"pool-define-as", theirPool, "dir", "--target", theirs}, {"pool-start", theirPool}} {
		if _, err := g.virsh("", args...); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g virshGround) virsh(stdin string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("virsh", append([]string{"--quiet", "--connect", g.uri}, args...)...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("virsh %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

func (g virshGround) on(vm string) (bool, error) {
	out, err := g.virsh("", "list", "--name")
	return slices.Contains(strings.Fields(out), vm), err
}

// listing asks for everything in two calls: what there is, and what each is like.
func (g virshGround) listing() (map[string]string, error) {
	out, err := g.virsh("", "echo '@domains\n'; list --all --name; echo '@networks\n'; net-list --all --name; echo '@pools\n'; pool-list --all --name; echo '@on\n'; pool-list --name")
	if err != nil {
		return nil, err
	}
	names := map[string][]string{}
	section := ""
	for _, word := range strings.Fields(out) {
		if strings.HasPrefix(word, "@") {
			section = word
		} else {
			names[section] = append(names[section], word)
		}
	}
	var ask strings.Builder
	for _, n := range names["@domains"] {
		fmt.Fprintf(&ask, "echo '@vm %s\n'; dumpxml --inactive %[1]s; domstate %[1]s; list --all --autostart --name; ", n)
	}
	for _, n := range names["@networks"] {
		fmt.Fprintf(&ask, "echo '@network %s\n'; net-dumpxml --inactive %[1]s; net-info %[1]s; ", n)
	}
	for _, n := range names["@pools"] {
		fmt.Fprintf(&ask, "echo '@pool %s\n'; pool-dumpxml --inactive %[1]s; pool-info %[1]s; ", n)
	}
	for _, n := range names["@on"] {
		fmt.Fprintf(&ask, "echo '@volumes %s\n'; vol-list %[1]s --details; ", n)
	}
	if ask.Len() == 0 {
		return map[string]string{}, nil
	}
	if out, err = g.virsh("", ask.String()); err != nil {
		return nil, err
	}
	return g.sections(out)
}

var (
	changing    = regexp.MustCompile(`(?m)^\s*<(address|alias name='[^u]|target dev='(test|v)net|capacity|allocation|available|backingStore/|boot order).*\n|^(Capacity|Allocation|Available):.*\n`)
	permissions = regexp.MustCompile(`(?s)\s*<permissions>.*</permissions>`) // known once a pool was read
	bridgeMAC   = regexp.MustCompile(`(?m)^\s*<mac address.*\n`)
	devices     = regexp.MustCompile(`(?s)<devices>.*</devices>`)
)

func (g virshGround) sections(out string) (map[string]string, error) {
	all := map[string]string{}
	for _, section := range strings.Split(out, "@")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		kind, object, _ := strings.Cut(name, " ")
		switch kind {
		case "vm":
			var err error
			if text, err = g.domain(object, text); err != nil {
				return nil, err
			}
		case "pool":
			text = permissions.ReplaceAllString(text, "")
		case "network":
			lines := strings.Split(bridgeMAC.ReplaceAllString(text, ""), "\n")
			slices.Sort(lines) // hosts of its server have no order
			text = strings.Join(lines, "\n")
		case "volumes":
			for line := range strings.Lines(text) {
				if f := strings.Fields(line); len(f) > 3 {
					all["volume "+object+"/"+f[0]] = strings.Join(f[2:len(f)-2], " ") // type and capacity, but not what is allocated
				}
			}
			continue
		}
		all[name] = changing.ReplaceAllString(text, "")
	}
	return all, nil
}

// domain leaves out of a domain what libvirt numbers by itself, and puts its devices in order.
func (g virshGround) domain(name, text string) (string, error) {
	end := strings.Index(text, "</domain>")
	if end < 0 {
		return "", fmt.Errorf("domain %s: %s", name, text)
	}
	definition, rest := text[:end], text[end:]
	state := strings.Fields(strings.TrimPrefix(rest, "</domain>"))
	autostart := slices.Contains(state[1:], name)
	blocks := devices.FindString(definition)
	var d struct {
		Inner []struct {
			XMLName xml.Name
			Text    string `xml:",innerxml"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(blocks), &d); err != nil {
		return "", err
	}
	var list []string
	for _, b := range d.Inner {
		if b.XMLName.Local != "controller" { // they come with devices, and stay
			list = append(list, b.XMLName.Local+strings.Join(strings.Fields(changing.ReplaceAllString("\n"+b.Text, "\n")), " "))
		}
	}
	slices.Sort(list)
	head := devices.ReplaceAllString(definition, "")
	return fmt.Sprintf("%s%s\nstate %s autostart %v\n", head, strings.Join(list, "\n"), state[0], autostart), nil
}

func (g virshGround) edit(e handEdit) error {
	switch o := e.object.(type) {
	case nil:
		if e.what == addVM {
			kind, _, _ := strings.Cut(g.uri, "+")
			return g.define("define", fmt.Sprintf("<domain type='%s'><name>%s</name><memory unit='MiB'>16</memory><os><type>hvm</type></os></domain>", kind, e.part))
		}
		return g.define("net-define", fmt.Sprintf("<network><name>%s</name></network>", e.part))
	case *resource.VM:
		return g.editVM(o, e)
	case *resource.Network:
		return g.editNetwork(o, e)
	case *resource.Pool:
		if e.what == stop {
			return g.run("pool-destroy", o.Name)
		}
		return g.run(withFlag(o.Autostart, "pool-autostart", o.Name)...)
	case *resource.Volume:
		return g.run("vol-delete", "--pool", o.PoolName, o.File)
	}
	return fmt.Errorf("nobody knows how to do this: %s", e)
}

func (g virshGround) run(args ...string) error {
	_, err := g.virsh("", args...)
	return err
}

func (g virshGround) define(command, text string) error {
	_, err := g.virsh(text, command, "/dev/stdin")
	return err
}

// withFlag sets autostart the other way.
func withFlag(now *bool, args ...string) []string {
	if now != nil && *now {
		args = append(args, "--disable")
	}
	return args
}

func (g virshGround) editVM(vm *resource.VM, e handEdit) error {
	switch e.what {
	case setMemory:
		return g.run("setmem", vm.Name, fmt.Sprintf("%dKiB", (vm.Memory-16*resource.MiB)/resource.KiB), "--config")
	case setVCPUs:
		n := vm.VCPUs + 1
		if n > vm.MaxVCPUs {
			n = 1
		}
		return g.run("setvcpus", vm.Name, fmt.Sprint(n), "--config")
	case setTitle:
		return g.run("desc", vm.Name, "--config", "--title", "by hand")
	case setDescription:
		return g.run("desc", vm.Name, "--config", "by hand")
	case flipAutostart:
		return g.run(withFlag(vm.Autostart, "autostart", vm.Name)...)
	case flipPower:
		if e.running {
			return g.run("destroy", vm.Name)
		}
		return g.run("start", vm.Name)
	case undefine:
		if e.running {
			if err := g.run("destroy", vm.Name); err != nil {
				return err
			}
		}
		return g.run("undefine", vm.Name)
	case plugForeign:
		if err := g.run("vol-create-as", theirPool, e.part, "1M", "--format", "raw"); err != nil {
			return err
		}
	}
	return g.editDevices(vm, e)
}

// editDevices changes the definition.
func (g virshGround) editDevices(vm *resource.VM, e handEdit) error {
	text, err := g.virsh("", "dumpxml", "--inactive", vm.Name)
	if err != nil {
		return err
	}
	var d libvirtxml.Domain
	if err := d.Unmarshal(text); err != nil {
		return err
	}
	isDisk := func(disk libvirtxml.DomainDisk) bool {
		return disk.Alias != nil && disk.Alias.Name == "ua-disk-"+e.part
	}
	isNIC := func(nic libvirtxml.DomainInterface) bool {
		return nic.Alias != nil && nic.Alias.Name == "ua-nic-"+e.part
	}
	disks, nics := len(d.Devices.Disks), len(d.Devices.Interfaces)
	var nic *libvirtxml.DomainInterface
	if i := slices.IndexFunc(d.Devices.Interfaces, isNIC); i >= 0 {
		nic = &d.Devices.Interfaces[i]
	}
	switch e.what {
	case unplugDisk:
		d.Devices.Disks = slices.DeleteFunc(d.Devices.Disks, isDisk)
		if len(d.Devices.Disks) == disks {
			return fmt.Errorf("there is no such disk:\n%s", text)
		}
	case plugForeign:
		path, err := g.virsh("", "vol-path", "--pool", theirPool, e.part)
		if err != nil {
			return err
		}
		d.Devices.Disks = append(d.Devices.Disks, libvirtxml.DomainDisk{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: strings.TrimSpace(path)}},
			Target: &libvirtxml.DomainDiskTarget{Dev: fmt.Sprintf("vd%c", 'z'-disks), Bus: "virtio"},
		})
	case unplugNIC:
		d.Devices.Interfaces = slices.DeleteFunc(d.Devices.Interfaces, isNIC)
		if len(d.Devices.Interfaces) == nics {
			return fmt.Errorf("there is no such nic:\n%s", text)
		}
	case flipLink:
		if nic.Link != nil && nic.Link.State == "down" {
			nic.Link = nil
		} else {
			nic.Link = &libvirtxml.DomainInterfaceLink{State: "down"}
		}
	case setModel:
		nic.Model.Type = map[string]string{"virtio": "rtl8139", "e1000": "virtio"}[nic.Model.Type]
		nic.Address = nil
	}
	if text, err = d.Marshal(); err != nil {
		return err
	}
	return g.define("define", text)
}

func (g virshGround) editNetwork(n *resource.Network, e handEdit) error {
	update := func(verb, host string) error {
		return g.run("net-update", n.Name, verb, "ip-dhcp-host", host, "--live", "--config")
	}
	switch e.what {
	case dropHost:
		return update("delete", fmt.Sprintf("<host mac='%s'/>", e.part))
	case addHost:
		i, _ := strconv.Atoi(e.part)
		return update("add", fmt.Sprintf("<host mac='52:54:00:99:00:%02x' ip='%s.%d'/>", i, n.CIDR[:strings.LastIndex(n.CIDR, ".")], 160+i))
	case stop:
		return g.run("net-destroy", n.Name)
	}
	return g.run(withFlag(n.Autostart, "net-autostart", n.Name)...)
}
