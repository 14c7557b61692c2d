package complete

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vmplan.dev/vmplan/config/resource"
)

// plain is a Source without files: it keeps what is reported.
type plain struct {
	written  []string
	mistakes []string
	wrong    map[string]bool
}

func (p *plain) Mistake(path, summary, format string, args ...any) {
	p.mistakes = append(p.mistakes, path+": "+summary+": "+fmt.Sprintf(format, args...))
}
func (p *plain) Fail(path string)         { p.wrong[path] = true }
func (p *plain) Wrong(path string) bool   { return p.wrong[path] }
func (p *plain) Written(path string) bool { return slices.Contains(p.written, path) }

func (p *plain) Null(string) bool { return false }

func newPlain(written ...string) *plain { return &plain{written: written, wrong: map[string]bool{}} }

func addr(kind resource.Kind, name string) resource.Addr {
	return resource.Addr{Kind: kind, Name: name}
}

func TestNetworkWithARangeNeedsNothingElse(t *testing.T) {
	n := &resource.Network{Meta: resource.Meta{Addr: addr(resource.KindNetwork, "lan")}, CIDR: "10.17.3.0/24"}
	src := newPlain("cidr")
	Network(src, n)
	if len(src.mistakes) > 0 || n.Mode != "nat" || n.DHCPStart != "10.17.3.2" || n.DHCPEnd != "10.17.3.254" || !IsTrue(n.DHCP) {
		t.Errorf("completed to %+v, with %q", n, src.mistakes)
	}
}

func TestMistakesNameTheFieldTheyAreAbout(t *testing.T) {
	network := func(n resource.Network) func(Source) {
		n.Addr = addr(resource.KindNetwork, "lan")
		return func(src Source) { Network(src, &n) }
	}
	nic := func(n resource.NIC) func(Source) { return func(src Source) { NIC(src, &n, "virtio") } }
	yes := true
	for want, complete := range map[string]func(Source){
		"cidr: Bad CIDR":                        network(resource.Network{CIDR: "10.0.0.1/24"}),
		": Missing attribute":                   network(resource.Network{}),
		"bridge: Bad bridge":                    network(resource.Network{CIDR: "10.0.0.0/24", Bridge: "a/b"}),
		"dhcp_end: Bad address":                 network(resource.Network{CIDR: "10.0.0.0/24", DHCPEnd: "10.0.1.1"}),
		"path: Bad path":                        func(src Source) { Pool(src, &resource.Pool{Path: "/etc"}, nil) },
		"nic.a: Missing attribute":              nic(resource.NIC{Label: "a"}),
		"nic.a.address: Address in user mode":   nic(resource.NIC{Label: "a", User: &yes, Address: "10.0.0.2"}),
		"nic.a.bridge: Both network and bridge": nic(resource.NIC{Label: "a", Bridge: "br0", Network: addr(resource.KindNetwork, "lan")}),
	} {
		src := newPlain()
		complete(src)
		if len(src.mistakes) != 1 || !strings.HasPrefix(src.mistakes[0], want+":") {
			t.Errorf("reported %q, want %q", src.mistakes, want)
		}
	}
}

func TestASeedTellsTheGuestItsAddressWhereNobodyElseDoes(t *testing.T) {
	lan := addr(resource.KindNetwork, "lan")
	no := false
	w := SeedWriter{Salt: []byte("salt"), Network: func(a resource.Addr) *resource.Network {
		if a != lan {
			return nil
		}
		return &resource.Network{Mode: "nat", CIDR: "10.0.0.0/24", DHCP: &no, Domain: "lab.example"}
	}}
	vm := &resource.VM{
		Meta: resource.Meta{Name: "Web_1"}, CloudInit: &resource.CloudInit{},
		NICs: []resource.NIC{{Label: "lan", MAC: "52:54:00:00:00:01", Network: lan, Address: "10.0.0.7"}},
	}
	s := &resource.Seed{}
	text := w.Write(vm, s)
	for _, want := range []string{`hostname: "web-1"`, `fqdn: "web-1.lab.example"`, `- "10.0.0.7/24"`, `via: "10.0.0.1"`, "instance-id: vmplan-"} {
		if !strings.Contains(text, want) {
			t.Errorf("the seed lacks %q:\n%s", want, text)
		}
	}
}
