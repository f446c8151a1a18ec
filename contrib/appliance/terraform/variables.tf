variable "name" {
  description = "What everything here is called, with the zone's key behind it."
  type        = string
  default     = "exeat"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "The name has 1 to 24 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "vpc_id" {
  description = "The VPC of agents and appliances."
  type        = string
}

variable "zones" {
  description = <<-EOT
    One appliance a zone, by a short key that never changes (a, b, c). In each:
    subnet_id: the public subnet of the appliance; its route table leads to the internet gateway.
    agent_subnet_ids: the subnets whose way out this appliance is; they must not be associated with a route table of their own yet. Add new
    ones at the end.
    address: the appliance's own private IPv4 address, to which the agents' traffic is routed; it has no Elastic IP.
    sources: private IPv4 addresses from which exeat dials; each gets an Elastic IP.
    ipv6_sources: IPv6 addresses from which exeat dials; none: IPv6 has no way out.
    All addresses lie in the CIDRs of subnet_id, are free, and should be kept free by a CIDR reservation of the subnet.
  EOT
  type = map(object({
    subnet_id        = string
    agent_subnet_ids = list(string)
    address          = string
    sources          = list(string)
    ipv6_sources     = optional(list(string), [])
  }))

  validation {
    condition     = length(var.zones) > 0 && alltrue([for key in keys(var.zones) : can(regex("^[a-z0-9]{1,8}$", key))])
    error_message = "There is at least one zone, and each key has 1 to 8 of a-z and 0-9."
  }

  validation {
    condition = alltrue([for zone in values(var.zones) : length(zone.sources) > 0 && alltrue([
      for address in concat([zone.address], zone.sources) : can(cidrnetmask("${address}/32"))
    ])])
    error_message = "Each zone has an address and at least one source, and they are IPv4 addresses."
  }

  validation {
    condition = alltrue([for zone in values(var.zones) : alltrue([
      for address in zone.ipv6_sources : strcontains(address, ":") && can(cidrhost("${address}/128", 0))
    ])])
    error_message = "The ipv6_sources are IPv6 addresses."
  }

  validation {
    condition = length(distinct(flatten([for zone in values(var.zones) : [zone.address, zone.sources, zone.ipv6_sources]]))) == (
      length(flatten([for zone in values(var.zones) : [zone.address, zone.sources, zone.ipv6_sources]]))
    )
    error_message = "No address stands twice."
  }
}

variable "agent_cidrs" {
  description = "The IPv4 networks of the agents: who may reach the appliance, and the clients group \"agents\" of exeat's configuration."
  type        = list(string)

  validation {
    condition = length(var.agent_cidrs) > 0 && alltrue([
      for cidr in var.agent_cidrs : can(cidrnetmask(cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)
    ])
    error_message = "There is at least one IPv4 CIDR without host bits, and nothing else."
  }
}

variable "agent_ipv6_cidrs" {
  description = "The IPv6 networks of the agents."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.agent_ipv6_cidrs : strcontains(cidr, ":") && can(cidrhost(cidr, 0))])
    error_message = "These are IPv6 CIDRs."
  }
}

variable "mode" {
  description = "How connections reach exeat: tproxy or redirect; exeat-appliance(7) says when to take which."
  type        = string
  default     = "tproxy"

  validation {
    condition     = contains(["redirect", "tproxy"], var.mode)
    error_message = "The mode is redirect or tproxy."
  }
}

variable "ports" {
  description = "The TCP ports that are intercepted, and to which exeat may dial. Rules for other ports never see a connection."
  type        = list(number)
  default     = [443]

  validation {
    condition     = length(var.ports) > 0 && alltrue([for port in var.ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "There is at least one port, each from 1 to 65535."
  }
}

variable "policy" {
  description = <<-EOT
    exeat's rules: texts by file name, put into /etc/exeat/conf.d and read in the order of their names. They may use the clients group "agents"
    and the route "nat", and may not define these again, nor [exeat] or [audit].
  EOT
  type        = map(string)

  validation {
    condition     = length(var.policy) > 0 && alltrue([for file in keys(var.policy) : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*\\.conf$", file))])
    error_message = "There is at least one file, and each is called NAME.conf."
  }
}

variable "dns_servers" {
  description = "The resolvers that exeat asks: by default Amazon's, as each VPC has it."
  type        = list(string)
  default     = ["169.254.169.253"]

  validation {
    condition     = length(var.dns_servers) > 0
    error_message = "There is at least one resolver."
  }
}

variable "image_id" {
  description = "The AMI: Debian 12, or another with cloud-init, systemd-networkd as its network manager, apt, bash and curl."
  type        = string
}

variable "instance_type" {
  description = "Its limit of addresses an interface must hold the address and all sources of a zone; the audit volume must show as an NVMe device."
  type        = string
  default     = "c6i.large"
}

variable "package" {
  description = <<-EOT
    exeat and exeat-appliance: a .deb, or a .tar.gz to be unpacked at /, at an https:// or s3:// address, and its SHA-256; README.md says how to
    make one. Null: the image holds them already.
  EOT
  type = object({
    url    = string
    sha256 = string
  })
  default = null

  validation {
    condition = var.package == null || (
      can(regex("^(https://|s3://[a-z0-9.-]+/)[A-Za-z0-9/._~+-]+\\.(deb|tar\\.gz)$", var.package.url)) &&
      can(regex("^[0-9a-f]{64}$", var.package.sha256))
    )
    error_message = "The package has a url (https:// or s3://, ending in .deb or .tar.gz) and a sha256 of 64 hexadecimal digits."
  }
}

variable "exeat_path" {
  description = "Where the package puts the program."
  type        = string
  default     = "/usr/local/bin/exeat"

  validation {
    condition     = can(regex("^/[A-Za-z0-9/._-]+$", var.exeat_path))
    error_message = "This is an absolute path."
  }
}

variable "appliance_path" {
  description = "Where the package puts the script exeat-appliance."
  type        = string
  default     = "/usr/local/sbin/exeat-appliance"

  validation {
    condition     = can(regex("^/[A-Za-z0-9/._-]+$", var.appliance_path))
    error_message = "This is an absolute path."
  }
}

variable "apt_packages" {
  description = "What apt-get installs first: the AWS client, nftables, and the libraries of exeat as Debian 12 calls them."
  type        = list(string)
  default = [
    "awscli", "nftables",
    "libc-ares2", "libcidr0", "libevent-core-2.1-7", "libidn2-0", "libinih1", "libpsl5", "libseccomp2", "libssl3",
  ]

  validation {
    condition     = alltrue([for package in var.apt_packages : can(regex("^[a-z0-9][a-z0-9.+-]*$", package))])
    error_message = "These are names of packages."
  }
}

variable "public_management" {
  description = <<-EOT
    Whether the instance's first interface has a public address of its own, outside of the documented range. No build ever leaves by it: it serves the
    instance itself (packages, the AWS API). False: the image holds all packages, and the VPC has endpoints for ec2, autoscaling and, for
    an s3:// package, s3.
  EOT
  type        = bool
  default     = true
}

variable "audit_volume_gib" {
  description = "The size of each zone's audit volume, which outlives the instances."
  type        = number
  default     = 20

  validation {
    condition     = var.audit_volume_gib >= 1 && var.audit_volume_gib <= 16384 && floor(var.audit_volume_gib) == var.audit_volume_gib
    error_message = "The size is a whole number from 1 to 16384."
  }
}

variable "kms_key_id" {
  description = "The ARN of the KMS key of the audit volumes; null: the account's default key for EBS."
  type        = string
  default     = null
}

variable "alarm_actions" {
  description = "The ARNs, as of an SNS topic, that hear of a zone whose instance fails EC2's status checks. None: no alarm is made."
  type        = list(string)
  default     = []
}

variable "role_policy_arns" {
  description = "Further IAM policies of the instances' roles, by a name of yours, as for a shell through Systems Manager."
  type        = map(string)
  default     = {}
}

variable "extra_security_group_ids" {
  description = "Further security groups of the interface from which exeat dials, as for the peer of a VPN."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything that can be tagged."
  type        = map(string)
  default     = {}
}
