# One vm on its own network, ready to log in.
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

# Downloaded once and checked. The vm's disk is an overlay of it.
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

  # apply waits until ssh answers.
  ready {
    ssh {}
    timeout = "5m"
  }
}

output "address" {
  value = vm.web.address
}
