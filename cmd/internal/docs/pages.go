package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/function"
	"vmplan.dev/vmplan/config/resource"
)

// intro is what a block's page begins with: what it is for, and an example. The examples of all pages together are a project
// that loads.
type intro struct{ text, example string }

var intros = map[resource.Kind]intro{
	resource.KindHost: {
		"A connection to a hypervisor, where everything else lives. With one host block nothing needs to name it; with several, resources say `host = host.NAME`, or one host says `default = true`.",
		`host "lab" {
  uri = "qemu:///system"
}
`,
	},
	resource.KindPool: {
		"A storage pool of the host. Without any pool block, disks go to the pool `default`: the host's own if it has one, else one that is made at /var/lib/libvirt/images.",
		`pool "fast" {
  path    = "/srv/vm"
  default = true
}
`,
	},
	resource.KindNetwork: {
		"A virtual network. With `managed = false` it exists already: it may be referred to, and is never changed or deleted.",
		`network "lan" {
  mode   = "nat"
  cidr   = "10.17.3.0/24"
  domain = "lab.example"
}
`,
	},
	resource.KindImage: {
		"A golden image: read-only bits in a pool, and the defaults of the vms made from it. Disks of vms are copy-on-write overlays of it.",
		`image "debian" {
  source       = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
  checksum     = "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS"
  instancetype = instancetype.small
}

image "web" {
  from = image.debian
  build {
    run = ["apt-get update", "apt-get install -y nginx"]
  }
  seal {}
}
`,
	},
	resource.KindVolume: {
		"A storage volume that outlives the vms that use it. A disk that belongs to one vm alone is simply written in the vm.",
		`volume "db" {
  size      = "50GiB"
  on_delete = "retain"
}
`,
	},
	resource.KindVM: {
		"A virtual machine. It owns the disks that are declared inside it and its cloud-init seed; volumes, networks and images it only uses. Its size and devices come from its own attributes, else from its instancetype and preference, else from its image's, else they are what the image needs at least.",
		`vm "web" {
  image  = image.debian
  memory = "4GiB"

  disk "root" {
    size = "20GiB"
  }
  disk "data" {
    volume = volume.db
  }
  nic "lan" {
    network = network.lan
    address = "10.17.3.10"
  }

  cloud_init {
    hostname            = "web"
    ssh_authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfy6nZ4nOyz9xYJ7sG7cQmRfnhTlR8K1pQ0m3oWn2d me@example"]
  }
  ready {
    ssh {}
    timeout = "3m"
  }
}
`,
	},
	"instancetype": {
		"The size of vms, by name. A vm or an image says `instancetype = instancetype.NAME`; what the vm sets itself goes first.",
		`instancetype "huge" {
  vcpus  = 16
  memory = "64GiB"
}
`,
	},
	"preference": {
		"The virtual hardware of vms, by name. A vm or an image says `preference = preference.NAME`; what the vm sets itself goes first. An image's `os` chooses one too: that of the same name, else the one for its kind of system (linux, bsd, windows, legacy). Without any, `preference.linux` holds.",
		`preference "modern" {
  machine   = "q35"
  firmware  = "uefi"
  disk_bus  = "virtio"
  nic_model = "virtio"
}
`,
	},
}

// impacts explains the words of the impact column.
const impacts = `
## Impact

What a change does on a libvirt host, which each plan says before it is done:

| impact | |
| --- | --- |
| record | only what vmplan itself remembers changes |
| live | done now, the guest keeps running |
| next-boot | written now, and taken up when the guest next starts; every plan shows it as pending until then |
| restart | the guest is shut down, changed and started again |
| replace | deleted and created anew; the plan names what is lost |

` + "`update = \"stage\"`" + ` on a vm turns restart into next-boot. ` + "`vmplan explain vm.NAME.FIELD`" + ` tells the call that a change is made with.
`

// render gives all pages by file name.
func render() (map[string]string, error) {
	pages := map[string]string{"functions.md": functionsPage()}
	index := "# Reference\n\nWritten by `make docs`.\n\n"
	for _, b := range config.BlockTypes() {
		in, ok := intros[b.Kind]
		if !ok {
			return nil, fmt.Errorf("block %s: pages.go has no introduction", b.Kind)
		}
		name := string(b.Kind) + ".md"
		pages[name] = blockPage(b, in)
		first, _, _ := strings.Cut(in.text, ". ")
		index += fmt.Sprintf("- [%s](%s): %s.\n", b.Kind, name, strings.TrimSuffix(first, "."))
	}
	index += "\nBlocks that make no object:\n\n"
	for _, name := range config.PlainBlocks() {
		p, ok := plains[name]
		if !ok {
			return nil, fmt.Errorf("block %s: plain.go has no page", name)
		}
		pages[name+".md"] = plainPage(name, p)
		first, _, _ := strings.Cut(p.text, ". ")
		index += fmt.Sprintf("- [%s](%s.md): %s.\n", name, name, strings.TrimSuffix(first, "."))
	}
	index += "\n"
	pages["README.md"] = index + "- [functions](functions.md): what expressions can call.\n" + impacts
	schema, err := resourcesSchema()
	pages["../schema/resources.json"] = schema
	return pages, err
}

// instanceText says what a vm block takes beside its attributes.
const instanceText = "`appliance = appliance.NAME` makes the vm from an appliance, whose parameters `with = { NAME = VALUE }` gives: see [appliance](appliance.md).\n"

func blockPage(b config.BlockType, in intro) string {
	var w strings.Builder
	fmt.Fprintf(&w, "# %s\n\n%s\n\n```hcl\n%s```\n\n", b.Kind, in.text, in.example)
	w.WriteString("`count` or `for_each` makes several; then `count.index`, `each.key` and `each.value` can be used inside.\n")
	if b.Kind == resource.KindVM {
		w.WriteString("\n" + instanceText)
	}
	p := page{out: &w, kind: b.Kind, barred: b.Barred}
	p.section("", b.Type, resource.ClassHost)
	p.readOnly()
	p.builtins(b)
	return w.String()
}

func functionsPage() string {
	var w strings.Builder
	w.WriteString("# Functions\n\nNames and meanings are Terraform's. Paths are relative to the folder of the module that calls. ")
	w.WriteString("A result is sensitive when an argument is.\n")
	for _, g := range function.Groups(".") {
		fmt.Fprintf(&w, "\n## %s\n\n| function | |\n| --- | --- |\n", g.Title)
		for _, name := range slices.Sorted(maps.Keys(g.Functions)) {
			f := g.Functions[name]
			var params []string
			for _, p := range f.Params() {
				params = append(params, p.Name)
			}
			if v := f.VarParam(); v != nil {
				params = append(params, v.Name+"...")
			}
			fmt.Fprintf(&w, "| `%s(%s)` | %s |\n", name, strings.Join(params, ", "), cell(f.Description()))
		}
	}
	w.WriteString("\n## Left out\n\nThe same files must always give the same plan, so these are errors:\n\n| function | instead |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(function.Refused)) {
		fmt.Fprintf(&w, "| `%s` | %s |\n", name, cell(function.Refused[name]))
	}
	return w.String()
}
