# A site: a network with one vm on it.

variable "cidr" {
  type = string
}

variable "image" {
  type        = any
  description = "The image of the vm."
}

variable "ssh_key" {
  type = string
}

network "lan" {
  cidr = var.cidr
}

vm "web" {
  image  = var.image
  memory = "512MiB"

  disk "root" {}

  nic "lan" {
    network = network.lan
    address = cidrhost(var.cidr, 10)
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }

  ready {
    ssh {}
  }
}

output "address" {
  value = vm.web.address
}
