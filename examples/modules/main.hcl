# A module is a reusable folder of files like these.

host "lab" {
  uri = var.uri
}

image "debian" {
  source   = var.image
  checksum = var.image_checksum
}

module "north" {
  source  = "./site"
  cidr    = "10.71.6.0/24"
  image   = image.debian
  ssh_key = var.ssh_key
}

module "south" {
  source  = "./site"
  cidr    = "10.71.7.0/24"
  image   = image.debian
  ssh_key = var.ssh_key
}

output "addresses" {
  value = { north = module.north.address, south = module.south.address }
}
