//go:build linux && !nolibvirt

package main

import (
	"strings"
	"testing"

	"vmplan.dev/vmplan/drivers"
)

const limits = `bandwidth {
      inbound {
        average = 1000
        peak    = 2000
        burst   = 512
      }
      outbound { average = 500 }
    }`

// bandwidth limits a NIC of the running guest. Where the kernel has no traffic shaping, libvirt's call has to fail with the reason
// and the way out, the guest goes on, and the limit is written into the definition of the guest once it is off.
func (p *example) bandwidth() {
	row := liveRow{
		name: "a NIC is limited", edits: edit(`address = "10.72.1.10"`, `address = "10.72.1.10"`+"\n    "+limits), path: "nic.lan.bandwidth", impact: drivers.ImpactLive,
		virsh: []string{"dumpxml", "www"}, shows: matches(`(?s)<inbound average='1000' peak='2000' burst='512'/>\s*<outbound average='500'/>`),
	}
	t := p.t
	if lacks := p.noShaping(); lacks == "" {
		t.Run(row.name, func(t *testing.T) {
			p.t = t
			p.change(row)
		})
	} else {
		t.Run(row.name+", where the kernel cannot", func(t *testing.T) {
			p.t = t
			t.Logf("the kernel of this machine cannot limit bandwidth (tc says %q): only the definition is checked", lacks)
			p.bandwidthRefused(row, lacks)
		})
	}
	p.t = t
}

// noShaping gives what tc says about a queueing discipline that libvirt needs; empty when all is well.
func (p *example) noShaping() string {
	out, err := p.host.Command("tc", "qdisc", "add", "dev", "lo", "root", "sfq").CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out))
	}
	if out, err := p.host.Command("tc", "qdisc", "del", "dev", "lo", "root").CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	return ""
}

func (p *example) bandwidthRefused(row liveRow, lacks string) {
	p.t.Helper()
	boot := p.bootID()
	p.edit(row.edits)
	p.planSays(row)
	_, said := p.output(1, "apply", "--auto-approve")
	for _, want := range []string{"vm www: nic lan: ", lacks, "load its modules sch_htb, sch_sfq"} {
		if !strings.Contains(said, want) {
			p.t.Errorf("apply does not say %q:\n%s", want, said)
		}
	}
	if p.bootID() != boot {
		p.t.Error("the guest was restarted")
	}
	p.planSays(row)
	p.edit(edit("autostart  = true", "autostart  = true\n  running    = false"))
	p.vmplan(0, "apply", "--auto-approve")
	if is := p.look(row); !row.shows("", is) {
		p.t.Errorf("the definition is\n%s", is)
	}
	p.vmplan(0, "plan", "--detailed-exitcode")
	p.edit(edit("\n    "+limits, "", "autostart  = true\n  running    = false", "autostart  = true"))
	p.vmplan(0, "apply", "--auto-approve")
	p.vmplan(0, "plan", "--detailed-exitcode")
}

// forwardsRepaired: a port forward that is gone, as after somebody else has started the guest, is drift, and comes back while the
// guest runs.
func (p *example) forwardsRepaired() {
	t := p.t
	t.Run("a port forward that is gone comes back", func(t *testing.T) {
		p.t = t
		boot := p.bootID()
		p.virsh("qemu-monitor-command", "www", "--hmp", "hostfwd_remove hostua-nic-out tcp:127.0.0.1:2223")
		row := liveRow{path: "nic.out.port_forward.ssh", impact: drivers.ImpactLive}
		p.planSays(row)
		if text := p.vmplan(0, "plan"); !strings.Contains(text, "changed outside of vmplan") {
			t.Errorf("the plan does not call it drift:\n%s", text)
		}
		p.vmplan(0, "apply", "--auto-approve")
		row.host = greeting(2223)
		if is := p.look(row); !strings.HasPrefix(is, "SSH-2.0-") {
			t.Errorf("the port leads to %q", is)
		}
		if p.bootID() != boot {
			t.Error("the guest was restarted")
		}
	})
	p.t = t
}
