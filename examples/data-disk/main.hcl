# Additional disks. In the guest they are /dev/disk/by-id/virtio-LABEL, whatever their order.

host "lab" {
  uri = var.uri
}

network "lan" {
  cidr = "10.71.5.0/24"
}

image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

# A volume with its own block stays when the vm is replaced. With on_delete = "retain" it also stays on the host
# when this block is removed.
volume "data" {
  size = "2GiB"
}

vm "db" {
  image  = image.debian
  memory = "512MiB"

  disk "root" {
    size = "4GiB"
  }

  disk "data" {
    volume = volume.data
  }

  # This disk belongs to the vm and is deleted with it.
  disk "scratch" {
    size   = "1GiB"
    format = "raw"
  }

  nic "lan" {
    network = network.lan
    address = "10.71.5.10"
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }

  ready {
    ssh {}
  }
}

output "address" {
  value = vm.db.address
}
