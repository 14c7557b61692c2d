variable "uri" {
  type        = string
  description = "The host's URI, such as qemu:///system for this machine or qemu+ssh://root@lab/system for another."
  default     = "qemu:///system"
}

variable "image" {
  type        = string
  description = "A disk image with cloud-init: a URL or a file."
  default     = "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2"
}

variable "image_checksum" {
  type        = string
  description = "The image's checksum: sha256:HEX, sha512:HEX, or the URL of a file of checksums."
  default     = "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS"
}

variable "ssh_key" {
  type        = string
  description = "The public key for logging in, such as the line in ~/.ssh/id_ed25519.pub."
}
