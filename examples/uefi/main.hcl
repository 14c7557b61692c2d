# A vm with UEFI firmware. Its firmware variables (NVRAM) are deleted with it.

host "lab" {
  uri = var.uri
}

network "lan" {
  cidr = "10.71.4.0/24"
}

image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

preference "modern" {
  machine  = "q35"
  firmware = "uefi"
}

vm "web" {
  image      = image.debian
  preference = preference.modern
  memory     = "512MiB"

  disk "root" {
    size = "4GiB"
  }

  nic "lan" {
    network = network.lan
    address = "10.71.4.10"
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
