package main

import (
	"fmt"
	"strings"
)

// plain is the page of a block that makes no object: it has no struct whose tags would tell.
type plain struct {
	intro
	// beside is a further file of the example, in a folder of its own.
	beside, besideText string
	sections           []plainSection
}

// plainSection lists what can be written: in the block itself, with no title, or in a block inside it.
type plainSection struct {
	title, text string
	rows        []plainRow
}

type plainRow struct{ name, typ, text string }

var plains = map[string]plain{
	"vmplan": {
		intro: intro{
			"Settings for the whole project. Values must be literal strings, because the block is read before anything is evaluated.",
			`vmplan {
  required_version = ">= 0.1"
  state "local" {
    path = "lab.vmstate"
  }
}
`,
		},
		sections: []plainSection{
			{rows: []plainRow{{"required_version", "text", "Allowed versions of vmplan, such as \">= 0.1, < 2\". Checked by every command."}}},
			{"state \"local\"", "Where the state is stored. The default is vmplan.vmstate in the project's folder. Modules have no state of their own.", []plainRow{
				{"path", "text", "The file, relative to the project's folder."},
			}},
		},
	},
	"variable": {
		intro: intro{
			"An input value, used as `var.NAME`. Its value comes from, in rising precedence: its default, the environment (`VMPLAN_VAR_NAME`), vmplan.vmvars.hcl, vmplan.vmvars.json, other *.vmvars.hcl in the order of their names, `--var-file`, `--var`. A module's variables are set in the module block.",
			`variable "memory" {
  type        = string
  default     = "2GiB"
  description = "Memory of each server."

  validation {
    condition     = can(regex("iB$", var.memory))
    error_message = "Write memory with a unit, such as 4GiB."
  }
}
`,
		},
		sections: []plainSection{
			{rows: parameterRows},
			{"validation", "A condition that the value must meet. The block can be repeated.", ruleRows},
		},
	},
	"locals": {
		intro: intro{
			"Names for values, used as `local.NAME`. Each attribute is one. The block can be repeated.",
			`locals {
  fleet = toset(["a", "b"])
  owner = "ops"
}
`,
		},
	},
	"output": {
		intro: intro{
			"A value that is shown after an apply and by `vmplan output`, or that a module gives to its caller as `module.NAME.OUTPUT`. It can use values that only a running guest knows, such as an address from DHCP.",
			`output "address" {
  value       = vm.web.address
  description = "Where the site is."
}
`,
		},
		sections: []plainSection{{rows: []plainRow{
			{"value", "any", "**Required.** The value."},
			{"description", "text", "What it is."},
			{"sensitive", "bool", "Whether it is hidden unless requested by name. Required if it contains a sensitive value. Default false."},
		}}},
	},
	"module": {
		intro: intro{
			"A reusable folder of files with inputs and outputs. It sees only its inputs. Its objects have addresses such as `module.NAME.vm.web`, and are called NAME-web on their host. Host, state, removed and import blocks are allowed only in the project's own files. Use `count` or `for_each` to create several.",
			`module "shop" {
  source   = "./shop"
  for_each = toset(["de", "fr"])
  network  = network.lan
  image    = image.debian
}
`,
		},
		beside: "shop/main.hcl",
		besideText: `variable "network" {}
variable "image" {}

vm "till" {
  image = var.image
  nic "lan" {
    network = var.network
  }
}
`,
		sections: []plainSection{{rows: []plainRow{
			{"source", "text", "**Required.** The folder, beginning with ./ or ../, relative to the file."},
			{"depends_on", "list of references", "Objects and modules that must be created before anything in this one."},
			{"NAME", "any", "The value of the module's variable NAME. Pass an object by reference: `network = network.lan`."},
		}}},
	},
	"appliance": {
		intro: intro{
			"An image and everything a vm made from it needs, as one parametrised object: the vm's settings, and networks, volumes, locals and outputs of its own. It creates nothing by itself. A vm block with `appliance = appliance.NAME` creates an instance, and sets the parameters in `with`.\n\n" +
				"What the instance's block sets goes before what the appliance sets: attributes and blocks replace those of the same name one by one, and what is set to null falls back. A disk for the image is put before those that are volumes. Each instance has its own of everything: the volume `static` of `vm.shop_de` is `vm.shop_de.volume.static`, is called `shop_de-static` on the host (`name` on the instance changes the first part), and goes with the instance. What is marked `shared = true`, and all images, instancetypes and preferences in it, exists once, as `appliance.shop.volume.static` (`shop-static`), and goes with the appliance's block.\n\n" +
				"An appliance sees its own names first, then those around it: `network.lan`, `var.NAME`, `local.NAME`. Its parameters are `parameter.NAME`, and the vm without a name is `vm`: `vm.address`. What is shared cannot use parameters.\n\n" +
				"With several vms each has a name, and may have count or for_each. Then what the instance's block sets holds for each of them, and `vm \"NAME\" { … }` in it for one. They are `vm.shop_de.vm.NAME`, in addresses and in expressions. A vm may be made from another appliance.\n\n" +
				"`appliance \"shop\" { source = \"./shop\" }` is one in a folder of its own, as `vmplan appliance pull` writes it: an appliance block, and beside it locals, images, instancetypes and preferences. Such a folder may come from anybody. It sees only its own names and the parameters it is given, reads only its own files, makes its images from registries, the web, the catalogue and its own files, and uses nothing that exists already but networks.\n\n" +
				"Its images are got without the logins of Docker and Podman, and from public addresses only: neither from this machine nor from its network. `trust = [\"registry.example/team/shop\"]` beside `source` lifts both for what begins with that, a server or a part of it; `vmplan appliance pull` writes the repository that it got the appliance from.\n\n" +
				"Outputs are `vm.shop_de.output.NAME`.",
			`appliance "shop" {
  image = image.debian

  parameter "site" {
    type        = string
    description = "Two letters."
  }
  volume "static" {
    size   = "8GiB"
    shared = true
  }
  network "back" {
    mode = "isolated"
    cidr = "10.40.0.0/24"
  }
  vm {
    memory = "4GiB"
    disk "static" {
      volume    = volume.static
      read_only = true
    }
    nic "back" {
      network = network.back
    }
    cloud_init {
      user_data = "#cloud-config\nfqdn: ${parameter.site}.shop.example\n"
    }
  }
  output "name" {
    value = vm.name
  }
}

vm "shop_de" {
  appliance = appliance.shop
  with      = { site = "de" }
  memory    = "8GiB"
}
`,
		},
		sections: []plainSection{
			{rows: []plainRow{
				{"image", "reference to an image", "The image of the vms in it that name none."},
			}},
			{"parameter \"NAME\"", "An input of each instance. Takes the attributes and validation blocks of [variable](variable.md).", parameterRows},
			{"vm, vm \"NAME\"", "What is said of every instance's vm. Takes what [vm](vm.md) takes; count, for_each and with of a vm without a name are said by the instance.", []plainRow{
				{"…", "", "See [vm](vm.md)."},
			}},
			{"network, volume", "Of each instance, unless shared.", []plainRow{
				{"shared", "bool", "Whether it exists once for all instances. Default false."},
			}},
			{"image, instancetype, preference, locals, output", "As in a project. Images, instancetypes and preferences exist once.", []plainRow{
				{"…", "", "See their pages."},
			}},
		},
	},
	"check": {
		intro: intro{
			"Conditions that are checked in every plan. If one is not met, the plan shows a warning. Values that only a running guest knows are not checked.\n\nConditions of one object stand in its own lifecycle block, as `precondition` or `postcondition`, where `self` is the object itself. If one is not met, the plan is refused. Both are checked before the plan, because all values are known then.",
			`check "names" {
  assert {
    condition     = length(vm.web.name) < 16
    error_message = "Windows cuts names after 15 characters."
  }
}
`,
		},
		sections: []plainSection{{"assert, precondition, postcondition", "The block can be repeated.", ruleRows}},
	},
	"moved": {
		intro: intro{
			"Gives an object another address. It keeps its name on the host, its identity, addresses and disks. A plan says \"moved from\", and does nothing else for it. Once it is applied everywhere, you can remove the block.\n\nBoth addresses name an object (`vm.web`), one of several (`vm.web[\"a\"]`), or a module. Without keys on either side, all instances move and keep their keys. In a module, addresses are relative to it. Where `count` is put around a block or taken away, the single object and the one with index 0 are one, without a moved block.",
			`moved {
  from = vm.server
  to   = vm.web
}
`,
		},
		sections: []plainSection{{rows: []plainRow{
			{"from", "address", "**Required.** Where it was. No longer declared."},
			{"to", "address", "**Required.** Where it is now: declared, or moved on by another block."},
		}}},
	},
	"removed": {
		intro: intro{
			"Decides what happens to objects whose blocks were removed. Allowed only in the project's own files.",
			`removed {
  from = vm.legacy
}
`,
		},
		sections: []plainSection{{rows: []plainRow{
			{"from", "address", "**Required.** An object, one of several, or a module. No longer declared."},
			{"cascade", "bool", "false (default): leave the object unchanged and forget it; a running vm keeps running. A vm is adopted again when its block returns. true: delete it with what it owns, whatever its on_delete says. Its disks with on_delete = retain stay, unless from names one of them."},
		}}},
	},
	"import": {
		intro: intro{
			"Adopts an object that already exists on its host with the next apply. The plan shows what would change in it. You need not set its name. Once it is applied, you can remove the block. Allowed only in the project's own files.",
			`import {
  to = network.lan
  id = "default"
}
`,
		},
		sections: []plainSection{{rows: []plainRow{
			{"to", "address", "**Required.** What it becomes: an object that is declared, or a disk that a vm owns (`vm.web.disk.root`)."},
			{"id", "text", "**Required.** Its name on the host; of an image, a volume or a disk \"POOL/FILE\". May use variables."},
		}}},
	},
}

var parameterRows = []plainRow{
	{"type", "type", "`string`, `number`, `bool`, `list(T)`, `set(T)`, `map(T)`, `tuple([T, …])`, `object({ NAME = T, OTHER = optional(T, DEFAULT) })` or `any`. Default any."},
	{"default", "any", "The value if none is given. Without a default, a value is required."},
	{"description", "text", "What it is for."},
	{"sensitive", "bool", "Whether the value, and everything derived from it, is never shown or written in clear text. Default false."},
	{"nullable", "bool", "Whether null is allowed. Default true."},
}

var ruleRows = []plainRow{
	{"condition", "bool", "**Required.** The condition that must be true."},
	{"error_message", "text", "**Required.** The message if it is not."},
}

func plainPage(name string, p plain) string {
	var w strings.Builder
	fmt.Fprintf(&w, "# %s\n\n%s\n\n```hcl\n%s```\n", name, p.text, p.example)
	if p.beside != "" {
		fmt.Fprintf(&w, "\nIn %s:\n\n```hcl\n%s```\n", p.beside, p.besideText)
	}
	for _, s := range p.sections {
		if s.title != "" {
			fmt.Fprintf(&w, "\n## %s\n\n%s\n", s.title, s.text)
		}
		w.WriteString("\n| attribute | type | |\n| --- | --- | --- |\n")
		for _, r := range s.rows {
			fmt.Fprintf(&w, "| `%s` | %s | %s |\n", r.name, r.typ, cell(r.text))
		}
	}
	return w.String()
}
