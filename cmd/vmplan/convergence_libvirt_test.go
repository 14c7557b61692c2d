//go:build !nolibvirt

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
	t.Setenv("VMPLAN_CACHE", t.TempDir())
	host := libvirttest.Start(t)
	uri := strings.Replace(host.URI, "qemu+unix:///system", "test+unix:///default", 1)
	g := newLibvirtGround(t, host, uri)
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
	g := newLibvirtGround(t, host, host.URI)
	tell(t, func(seed uint64) *story {
		return &story{
			seed: seed, rounds: roundsOf(12),
			can: abilities{
				uri: host.URI, domainType: "qemu", poolPath: filepath.Join(host.Dir, "pools"), images: true, resize: true, cables: true, // nobody is in the guests who could take or give devices and memory
				running: 2, memory: []int{64, 96, 128},
			},
			open: func(string) (ground, error) { return g, nil },
		}
	}, 60, 1, false)
}

// libvirtGround is a host on which people work with virsh and with programs that use libvirt's API.
type libvirtGround struct {
	host *libvirttest.Host
	uri  string
	conn *libvirt.Connect // kept open: the daemon forgets a host of its test driver with the last connection
}

// newLibvirtGround adds another's pool to the host.
func newLibvirtGround(t *testing.T, host *libvirttest.Host, uri string) libvirtGround {
	t.Helper()
	conn, err := libvirt.NewConnect(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	g := libvirtGround{host, uri, conn}
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

func (g libvirtGround) virsh(stdin string, args ...string) (string, error) {
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
func (g libvirtGround) listing() (map[string]string, error) {
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
		fmt.Fprintf(&ask, "echo '@vm %s\n'; dumpxml --inactive %[1]s; dominfo %[1]s; domiflist %[1]s; ", n)
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
	all, err := g.sections(out)
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
)

func (g libvirtGround) sections(out string) (map[string]string, error) {
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
func (g libvirtGround) domain(name, text string) (string, error) {
	end := strings.Index(text, "</domain>")
	if end < 0 {
		return "", fmt.Errorf("domain %s: %s", name, text)
	}
	definition, info := text[:end], text[end:]
	now, err := g.guest(info)
	if err != nil {
		return "", err
	}
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
	return fmt.Sprintf("%s%s\n%s", head, strings.Join(list, "\n"), now), nil
}

var guestLines = regexp.MustCompile(`(?m)^(?:(?:State|Autostart): .*|(\S+) +network +(\S+) .*(..:..:..:..:..:..))$`)

// guest tells from what virsh says of a domain whether it runs, and whether its NICs are plugged into their networks.
func (g libvirtGround) guest(info string) (string, error) {
	var out []string
	for _, m := range guestLines.FindAllStringSubmatch(info, -1) {
		line := m[0]
		if tap := m[1]; tap == "-" || tap != "" && g.kind() == "test" {
			continue
		} else if tap != "" {
			link, err := g.host.Command("ip", "-o", "link", "show", tap).Output()
			if err != nil {
				return "", fmt.Errorf("ip link show %s: %w", tap, err)
			}
			bridge, err := g.virsh("", "net-info", m[2])
			if err != nil {
				return "", err
			}
			master := regexp.MustCompile(`master (\S+)`).FindStringSubmatch(string(link))
			line = fmt.Sprintf("the guest's nic %s is plugged into %s: %t", m[3], m[2], master != nil && strings.Contains(bridge, " "+master[1]+"\n"))
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), nil
}

func (g libvirtGround) kind() string {
	kind, _, _ := strings.Cut(g.uri, "+")
	return kind
}
