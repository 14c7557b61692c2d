# One vm on a network of its own, ready to log in.
#
#   vmplan apply --var ssh_key="$(cat ~/.ssh/id_ed25519.pub)"
#   vmplan ssh vm.web --user debian
#   vmplan destroy

host "lab" {
  uri = var.uri
}

network "lan" {
  cidr = "10.71.1.0/24"
}

# The bits are downloaded once, checked and kept read-only on the host. The vm's disk grows on top of them.
image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

vm "web" {
  image  = image.debian
  memory = "512MiB"

  disk "root" {
    size = "4GiB"
  }

  nic "lan" {
    network = network.lan
    address = "10.71.1.10"
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }

  # apply is done when ssh answers.
  ready {
    ssh {}
    timeout = "5m"
  }
}

output "address" {
  value = vm.web.address
}
