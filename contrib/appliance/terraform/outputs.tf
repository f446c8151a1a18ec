output "egress_ips" {
  description = "The documented range: the addresses from which builds reach the internet, by zone."
  value = {
    for key, zone in var.zones : key => concat([for address in zone.sources : aws_eip.source["${key}/${address}"].public_ip], zone.ipv6_sources)
  }
}

output "egress_cidrs" {
  description = "The same of all zones as CIDRs, for other people's allow lists."
  value = concat(
    [for key in sort(keys(local.sources)) : "${aws_eip.source[key].public_ip}/32"],
    flatten([for key in sort(keys(var.zones)) : [for address in var.zones[key].ipv6_sources : "${address}/128"]]),
  )
}

output "route_sources" {
  description = "What stands in `source` of the route \"nat\", by zone."
  value       = { for key in keys(var.zones) : key => module.user_data[key].route_sources }
}

output "interface_ids" {
  description = "The fixed interface of each zone, for routes of tables that are not the module's."
  value       = { for key, interface in aws_network_interface.zone : key => interface.id }
}

output "agent_route_table_ids" {
  description = "The route table of the agents' subnets of each zone, for gateway endpoints and routes to a VPN."
  value       = { for key, table in aws_route_table.agents : key => table.id }
}

output "audit_volume_ids" {
  description = "The volume that holds the audit journal of each zone."
  value       = { for key, volume in aws_ebs_volume.audit : key => volume.id }
}

output "autoscaling_group_names" {
  description = "The group of each zone, for an instance refresh."
  value       = { for key, group in aws_autoscaling_group.zone : key => group.name }
}

output "role_names" {
  description = "The IAM role of each zone's instance."
  value       = { for key, role in aws_iam_role.zone : key => role.name }
}
