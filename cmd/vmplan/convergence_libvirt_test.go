//go:build linux && !nolibvirt

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
	"strings"
	"testing"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/drivers/libvirt/libvirttest"
)

// TestConvergesOnLibvirtsTestHost does as much with libvirt's own make-believe host, in a daemon of its own.
func TestConvergesOnLibvirtsTestHost(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	uri := strings.Replace(host.URI, "qemu+unix:///system", "test+unix:///default", 1)
	g := newLibvirtGround(t, host, uri)
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(15), most: 8,
			can:  abilities{uri: uri, poolPath: filepath.Join(host.Dir, "pools"), running: 4, memory: []int{512, 1024, 2048}},
			open: func(string) (ground, error) { return g, nil },
		}
	}, times(100), 1, false)
}

// TestConvergesOnQEMU does as much with QEMU, where some of the vms run.
func TestConvergesOnQEMU(t *testing.T) {
	t.Parallel()
	host := libvirttest.Start(t)
	g := newLibvirtGround(t, host, host.URI)
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(12), most: 8,
			can: abilities{
				uri: host.URI, domainType: "qemu", poolPath: filepath.Join(host.Dir, "pools"), images: true, resize: true, cables: true, // nobody is in the guests who could take or give devices and memory
				running: 2, memory: []int{64, 96, 128},
			},
			open: func(string) (ground, error) { return g, nil },
		}
	}, times(30), 1, false)
}

// virshGround is what virsh tells of a host.
type virshGround struct{ uri string }

// libvirtGround is a host on which people work with virsh and with programs that use libvirt's API.
type libvirtGround struct {
	virshGround
	host *libvirttest.Host
	conn *libvirt.Connect // kept open: the daemon forgets a host of its test driver with the last connection
	// foreign counts the foreign disks that each vm was given.
	foreign map[string]int
}

// newLibvirtGround adds another's pool to the host.
func newLibvirtGround(t *testing.T, host *libvirttest.Host, uri string) libvirtGround {
	t.Helper()
	conn, err := libvirt.NewConnect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	g := libvirtGround{virshGround{uri}, host, conn, map[string]int{}}
	theirs := filepath.Join(host.Dir, "theirs")
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

func (g libvirtGround) boots() (map[string]string, error) {
	domains, err := g.conn.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_ACTIVE)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i := range domains {
		name, err := domains[i].GetName()
		if err != nil {
			return nil, err
		}
		id, err := domains[i].GetID()
		if err != nil {
			return nil, err
		}
		out[name] = fmt.Sprint(id)
		if err := domains[i].Free(); err != nil {
			return nil, err
		}
	}
	return out, nil
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
		fmt.Fprintf(&ask, "echo '@vm %s\n'; dumpxml --inactive %[1]s; dominfo %[1]s; ", n)
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
	all, err := sections(out)
	for _, n := range names["@domains"] {
		for id := range all { // QEMU writes it when the guest first starts, and it goes with the vm
			if strings.HasPrefix(id, "volume ") && strings.HasSuffix(id, "/"+n+"-serial.log") {
				delete(all, id)
			}
		}
	}
	return all, err
}

var (
	changing    = regexp.MustCompile(`(?m)^\s*<(address|alias name='[^u]|target dev='(test|v)net|capacity|allocation|available|backingStore/|boot order).*\n|^(Capacity|Allocation|Available):.*\n`)
	permissions = regexp.MustCompile(`(?s)\s*<permissions>.*</permissions>`) // known once a pool was read
	bridgeMAC   = regexp.MustCompile(`(?m)^\s*<mac address.*\n`)
	devices     = regexp.MustCompile(`(?s)<devices>.*</devices>`)
	domainState = regexp.MustCompile(`(?m)^(State|Autostart): .*$`)
	targets     = regexp.MustCompile(`<target dev='[^']*'`) // in the order in which disks came; guests know disks by their serials
)

func sections(out string) (map[string]string, error) {
	all := map[string]string{}
	for _, section := range strings.Split(out, "@")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		kind, object, _ := strings.Cut(name, " ")
		switch kind {
		case "vm":
			var err error
			if text, err = domainText(object, text); err != nil {
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
func domainText(name, text string) (string, error) {
	end := strings.Index(text, "</domain>")
	if end < 0 {
		return "", fmt.Errorf("domain %s: %s", name, text)
	}
	definition, info := text[:end], text[end:]
	now := strings.Join(domainState.FindAllString(info, -1), "\n")
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
			list = append(list, b.XMLName.Local+targets.ReplaceAllString(strings.Join(strings.Fields(changing.ReplaceAllString("\n"+b.Text, "\n")), " "), "<target"))
		}
	}
	slices.Sort(list)
	head := devices.ReplaceAllString(definition, "")
	return fmt.Sprintf("%s%s\n%s\n", head, strings.Join(list, "\n"), now), nil
}

// listing has that, and whether the NICs of running guests are plugged into their networks.
func (g libvirtGround) listing() (map[string]string, error) {
	all, err := g.virshGround.listing()
	if err != nil || g.kind() == "test" {
		return all, err
	}
	boots, err := g.boots()
	if err != nil {
		return nil, err
	}
	for vm := range boots {
		nics, err := g.virsh("", "domiflist", vm)
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, nic := range guestNICs.FindAllStringSubmatch(nics, -1) {
			in, err := g.plugged(nic[1], nic[2])
			if err != nil {
				return nil, err
			}
			lines = append(lines, fmt.Sprintf("the guest's nic %s is plugged into network %s: %t\n", nic[3], nic[2], in))
		}
		slices.Sort(lines)
		all["vm "+vm] += strings.Join(lines, "")
	}
	return all, nil
}

var (
	guestNICs = regexp.MustCompile(`(?m)^ *(\S+) +network +(\S+) .*(..:..:..:..:..:..)$`)
	master    = regexp.MustCompile(`master (\S+)`)
)

// plugged tells whether the tap device is a port of the network's bridge, which libvirt does not tell.
func (g libvirtGround) plugged(tap, network string) (bool, error) {
	link, err := g.host.Command("ip", "-o", "link", "show", tap).Output()
	if err != nil {
		return false, fmt.Errorf("ip link show %s: %w", tap, err)
	}
	info, err := g.virsh("", "net-info", network)
	bridge := master.FindSubmatch(link)
	return bridge != nil && strings.Contains(info, fmt.Sprintf(" %s\n", bridge[1])), err
}

func (g virshGround) kind() string {
	kind, _, _ := strings.Cut(g.uri, "+")
	return kind
}
