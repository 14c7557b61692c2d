# A project is a folder of .hcl files. Try:
#
#   vmplan plan      what would be done, and what it means for running guests
#   vmplan apply     do it (asks first)
#   vmplan destroy   delete it again
#
# Everything that can be written is in docs/reference.

variable "ssh_key" {
  type        = string
  description = "The public key that may log in: --var ssh_key=\"$(cat ~/.ssh/id_ed25519.pub)\"."

  validation {
    condition     = var.ssh_key != ""
    error_message = "It is empty, so that nobody could log in. To make a key: ssh-keygen -t ed25519"
  }
}

# Where the guests run. qemu+ssh://root@lab/system reaches another machine.
host "local" {
  uri = "qemu:///system"
}

network "lab" {
  mode = "nat"
  cidr = "10.17.3.0/24"
}

# A golden image: downloaded once, checked, kept read-only under the disks of the guests.
image "debian" {
  source   = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
  checksum = "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS"
}

vm "web" {
  image  = image.debian
  vcpus  = 1
  memory = "1GiB"

  disk "root" {
    size = "10GiB"
  }

  nic "lan" {
    network = network.lab
    address = "10.17.3.10"
  }

  cloud_init {
    ssh_authorized_keys = [var.ssh_key]
  }

  # apply returns when ssh answers.
  ready {
    ssh {}
    timeout = "5m"
  }
}

output "address" {
  value = vm.web.address
}
