# Inner module: what it takes is described and judged in the module around it.

variable "name" {
  type = string
}

variable "mode" {
  type = string
}

variable "ports" {
  type = list(number)
}

variable "agent_cidrs" {
  type = list(string)
}

variable "agent_ipv6_cidrs" {
  type = list(string)
}

variable "address" {
  type = string
}

variable "sources" {
  type = list(object({
    private = string
    public  = string
  }))
}

variable "ipv6_sources" {
  type = list(string)
}

variable "subnet_cidr" {
  type = string
}

variable "peers" {
  type = list(string)
}

variable "policy" {
  type = map(string)
}

variable "dns_servers" {
  type = list(string)
}

variable "interface_id" {
  type = string
}

variable "interface_mac" {
  type = string
}

variable "audit_volume_id" {
  type = string
}

variable "package" {
  type = object({
    url    = string
    sha256 = string
  })
}

variable "exeat_path" {
  type = string
}

variable "appliance_path" {
  type = string
}

variable "apt_packages" {
  type = list(string)
}
