# A project is a folder of .hcl files. Try:
#
#   vmplan plan      show what would change
#   vmplan apply     make the changes (asks first)
#   vmplan destroy   delete everything again
#
# Log in with: vmplan ssh vm.web --user debian

variable "ssh_key" {
  type        = string
  description = "The public key for logging in: --var ssh_key=\"$(cat ~/.ssh/id_ed25519.pub)\"."

  validation {
    condition     = var.ssh_key != ""
    error_message = "It is empty, so nobody could log in. Create a key with: ssh-keygen -t ed25519"
  }
}

# Where the guests run. For another machine: qemu+ssh://root@lab/system
host "local" {
  uri = "qemu:///system"
}

network "lab" {
  mode = "nat"
  cidr = "10.17.3.0/24"
}

# Downloaded once and checked. The disks of the guests are overlays of it.
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

  # apply waits until ssh answers.
  ready {
    ssh {}
    timeout = "5m"
  }
}

output "address" {
  value = vm.web.address
}
