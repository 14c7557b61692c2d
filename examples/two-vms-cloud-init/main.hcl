# Two vms: the second is given the address of the first, so it is created after it.

host "lab" {
  uri = var.uri
}

network "lan" {
  cidr   = "10.71.2.0/24"
  domain = "lab.example"
}

image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

vm "db" {
  image  = image.debian
  memory = "512MiB"

  disk "root" {}

  # The next free address. It is chosen before the plan and never changes.
  nic "lan" {
    network = network.lan
    address = "auto"
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
    user_data           = file("db.sh")
  }

  ready {
    ssh {}
  }
}

vm "app" {
  image  = image.debian
  memory = "512MiB"

  disk "root" {}

  nic "lan" {
    network = network.lan
    address = "auto"
  }

  cloud_init {
    hostname            = "app-1"
    ssh_authorized_keys = [var.ssh_key]
    user_data           = templatefile("app.sh", { db = vm.db.address })
  }

  ready {
    ssh {}
  }
}

output "addresses" {
  value = { db = vm.db.address, app = vm.app.address }
}
