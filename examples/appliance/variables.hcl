variable "uri" {
  type        = string
  description = "The host: qemu:///system is this machine, qemu+ssh://root@lab/system another."
  default     = "qemu:///system"
}

variable "image" {
  type        = string
  description = "A disk image with cloud-init: a URL or a file."
  default     = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
}

variable "image_checksum" {
  type        = string
  description = "What the image must have: sha256:HEX, sha512:HEX, or the URL of a file of sums."
  default     = "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS"
}

variable "ssh_key" {
  type        = string
  description = "The public key that may log in, such as the line in ~/.ssh/id_ed25519.pub."
}
