# One vm for each name: adding a name adds a vm, removing one deletes only that vm.

variable "names" {
  type    = set(string)
  default = ["alder", "birch"]
}

host "lab" {
  uri = var.uri
}

network "lan" {
  cidr = "10.71.3.0/24"
}

instancetype "small" {
  vcpus  = 1
  memory = "512MiB"
}

# All vms with this image share its base volume and use its instancetype.
image "debian" {
  source       = var.image
  checksum     = var.image_checksum
  instancetype = instancetype.small
}

vm "node" {
  for_each = var.names
  image    = image.debian
  title    = "Node ${each.key}"

  disk "root" {
    size = "4GiB"
  }

  nic "lan" {
    network = network.lan
    address = "auto"
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }

  ready {
    ssh {}
  }
}

output "addresses" {
  value = { for name, node in vm.node : name => node.address }
}
