# An appliance describes a small system as one block. Each vm block that names it creates an instance.

host "lab" {
  uri = var.uri
}

image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

network "lan" {
  cidr = "10.71.8.0/24"
}

appliance "shop" {
  image = image.debian

  parameter "number" {
    type        = number
    description = "A unique number for each instance, for its private network."
  }

  parameter "motto" {
    type        = string
    default     = "open all day"
    description = "The shop's motto."
  }

  locals {
    range = cidrsubnet("10.72.0.0/16", 8, parameter.number)
  }

  # Shared by all instances, read-only. Deleted with the appliance.
  volume "goods" {
    size   = "64MiB"
    shared = true
  }

  # One for each instance, named after it and deleted with it.
  network "back" {
    mode = "isolated"
    cidr = local.range
  }

  vm "db" {
    memory = "512MiB"

    nic "back" {
      network = network.back
      address = "auto"
    }

    cloud_init {
      ssh_authorized_keys = [var.ssh_key]
    }

    ready {
      ssh {}
    }
  }

  vm "till" {
    memory = "512MiB"

    disk "root" {}

    disk "goods" {
      volume    = volume.goods
      read_only = true
    }

    nic "lan" {
      network = network.lan
      address = "auto"
    }

    nic "back" {
      network = network.back
    }

    cloud_init {
      ssh_authorized_keys = [var.ssh_key]
      user_data           = templatefile("till.sh", { db = vm.db.address, motto = parameter.motto })
    }

    ready {
      ssh {}
    }
  }

  output "address" {
    value = vm.till.address
  }
}

vm "north" {
  appliance = appliance.shop
  with      = { number = 1 }
}

vm "south" {
  appliance = appliance.shop
  with      = { number = 2, motto = "fresh fish" }

  # These values override the appliance's, in both vms or in one.
  title = "The shop in the south"

  vm "till" {
    vcpus = 2
  }
}

output "addresses" {
  value = { north = vm.north.output.address, south = vm.south.output.address }
}
