# The fixed part of each zone: an interface that the agents' routes lead to, with the addresses that the world sees. Instances come and go behind it.

data "aws_subnet" "zone" {
  for_each = var.zones

  id = each.value.subnet_id
}

locals {
  # "a/10.0.1.11": a source added later moves none of the others.
  sources = merge([for key, zone in var.zones : { for address in zone.sources : "${key}/${address}" => { zone = key, address = address } }]...)

  # Where a zone has no IPv6 to dial from, its agents get no route for it either.
  ipv6_zones = { for key, zone in var.zones : key => zone if length(zone.ipv6_sources) > 0 }

  # By number, because the ids may not be known yet.
  agent_subnets = merge([
    for key, zone in var.zones : { for index, subnet in zone.agent_subnet_ids : "${key}/${index}" => { zone = key, subnet = subnet } }
  ]...)

  # Sister instances, which exeat must never dial.
  addresses = concat(
    flatten([for zone in values(var.zones) : concat([zone.address], zone.sources, zone.ipv6_sources)]),
    [for key in sort(keys(local.sources)) : aws_eip.source[key].public_ip],
  )
}

resource "aws_network_interface" "zone" {
  for_each = var.zones

  description               = "${var.name}-${each.key}: what the agents are routed to, and what exeat dials from"
  subnet_id                 = each.value.subnet_id
  private_ip_list_enabled   = true
  private_ip_list           = concat([each.value.address], each.value.sources)
  ipv6_address_list_enabled = length(each.value.ipv6_sources) > 0
  ipv6_address_list         = length(each.value.ipv6_sources) > 0 ? each.value.ipv6_sources : null
  source_dest_check         = false
  security_groups           = concat([aws_security_group.appliance.id], var.extra_security_group_ids)
  tags                      = merge(var.tags, { Name = "${var.name}-${each.key}" })

  lifecycle {
    # The instance attaches it, not Terraform.
    ignore_changes = [attachment]
  }
}

resource "aws_eip" "source" {
  for_each = local.sources

  domain                    = "vpc"
  network_interface         = aws_network_interface.zone[each.value.zone].id
  associate_with_private_ip = each.value.address
  tags                      = merge(var.tags, { Name = "${var.name}-${each.value.zone}" })
}

# A table of the module's own for the agents' subnets, so that it holds no other way out than this one.

resource "aws_route_table" "agents" {
  for_each = var.zones

  vpc_id = var.vpc_id
  tags   = merge(var.tags, { Name = "${var.name}-agents-${each.key}" })
}

resource "aws_route" "agents" {
  for_each = var.zones

  route_table_id         = aws_route_table.agents[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  network_interface_id   = aws_network_interface.zone[each.key].id
}

resource "aws_route" "agents_ipv6" {
  for_each = local.ipv6_zones

  route_table_id              = aws_route_table.agents[each.key].id
  destination_ipv6_cidr_block = "::/0"
  network_interface_id        = aws_network_interface.zone[each.key].id
}

resource "aws_route_table_association" "agents" {
  for_each = local.agent_subnets

  subnet_id      = each.value.subnet
  route_table_id = aws_route_table.agents[each.value.zone].id
}

# The fixed interface: in from agents only what is intercepted, out only what exeat may dial. What a group does not let in vanishes without an
# answer, so UDP is let in on these ports and 443: the appliance rejects it, and QUIC clients fall back to TCP at once.

resource "aws_security_group" "appliance" {
  name_prefix = "${var.name}-appliance-"
  description = "exeat: agents in on intercepted ports, exeat out"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-appliance" })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  ingress = {
    for rule in setproduct(
      concat(
        [for port in var.ports : { protocol = "tcp", port = port }],
        [for port in distinct(concat([443], var.ports)) : { protocol = "udp", port = port }],
      ),
      concat(var.agent_cidrs, var.agent_ipv6_cidrs),
    ) : "${rule[0].protocol} ${rule[0].port} ${rule[1]}" => { protocol = rule[0].protocol, port = rule[0].port, cidr = rule[1] }
  }

  # exeat dials these; the second family only where it can.
  egress = {
    for rule in setproduct(var.ports, length(local.ipv6_zones) > 0 ? ["0.0.0.0/0", "::/0"] : ["0.0.0.0/0"]) :
    "${rule[0]} ${rule[1]}" => { port = rule[0], cidr = rule[1] }
  }
}

resource "aws_vpc_security_group_ingress_rule" "appliance" {
  for_each = local.ingress

  security_group_id = aws_security_group.appliance.id
  description       = "agents"
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "appliance" {
  for_each = local.egress

  security_group_id = aws_security_group.appliance.id
  description       = "exeat"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  tags              = var.tags
}

# The instance's own first interface: nothing in; out to packages and the AWS API.

resource "aws_security_group" "management" {
  name_prefix = "${var.name}-management-"
  description = "exeat: the instance's own packages and API calls"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-management" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "management" {
  for_each = toset(["80", "443"])

  security_group_id = aws_security_group.management.id
  description       = "packages and the AWS API"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
  cidr_ipv4         = "0.0.0.0/0"
  tags              = var.tags
}
