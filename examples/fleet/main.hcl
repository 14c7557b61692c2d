# As many equal vms as there are names: adding one to the list adds a vm, taking one away deletes just that.

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

# All vms made from the image share its bits and take its instancetype.
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
