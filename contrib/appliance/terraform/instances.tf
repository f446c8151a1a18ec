# The part of each zone that is replaced when it fails: one instance, which takes the zone's interface and audit volume when it boots.

resource "aws_ebs_volume" "audit" {
  for_each = var.zones

  availability_zone = data.aws_subnet.zone[each.key].availability_zone
  size              = var.audit_volume_gib
  type              = "gp3"
  encrypted         = true
  kms_key_id        = var.kms_key_id
  final_snapshot    = true
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}-audit" })
}

module "user_data" {
  source   = "./user-data"
  for_each = var.zones

  name             = "${var.name}-${each.key}"
  mode             = var.mode
  ports            = var.ports
  agent_cidrs      = var.agent_cidrs
  agent_ipv6_cidrs = var.agent_ipv6_cidrs
  address          = each.value.address
  sources          = [for address in each.value.sources : { private = address, public = aws_eip.source["${each.key}/${address}"].public_ip }]
  ipv6_sources     = each.value.ipv6_sources
  subnet_cidr      = data.aws_subnet.zone[each.key].cidr_block
  peers            = local.addresses
  policy           = var.policy
  dns_servers      = var.dns_servers
  interface_id     = aws_network_interface.zone[each.key].id
  interface_mac    = aws_network_interface.zone[each.key].mac_address
  audit_volume_id  = aws_ebs_volume.audit[each.key].id
  package          = var.package
  exeat_path       = var.exeat_path
  appliance_path   = var.appliance_path
  apt_packages     = var.apt_packages
}

resource "aws_launch_template" "zone" {
  for_each = var.zones

  name_prefix            = "${var.name}-${each.key}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  update_default_version = true
  user_data              = module.user_data[each.key].base64
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.zone[each.key].arn
  }

  # Version 2 of the metadata service alone, and no packet that was forwarded reaches it.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.public_management
    delete_on_termination       = true
    security_groups             = [aws_security_group.management.id]
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}", exeat-appliance = "${var.name}-${each.key}" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })
  }

  lifecycle {
    precondition {
      condition     = length(module.user_data[each.key].base64) <= 21848
      error_message = "The user data of zone ${each.key} is longer than the 16 KiB that EC2 takes: put long lists into the image."
    }
  }
}

# EC2's own checks see a dead machine; exeat-health.timer on the instance reports one on which exeat no longer answers. A new version of the
# launch template replaces nothing by itself, because that cuts every open tunnel of the zone.

resource "aws_autoscaling_group" "zone" {
  for_each = var.zones

  name                      = "${var.name}-${each.key}"
  min_size                  = 1
  max_size                  = 1
  desired_capacity          = 1
  vpc_zone_identifier       = [each.value.subnet_id]
  health_check_type         = "EC2"
  health_check_grace_period = 300

  launch_template {
    id      = aws_launch_template.zone[each.key].id
    version = aws_launch_template.zone[each.key].latest_version
  }

  dynamic "tag" {
    for_each = var.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  # The instance needs these from its first minute.
  depends_on = [aws_iam_role_policy.zone, aws_vpc_security_group_egress_rule.management]
}

resource "aws_cloudwatch_metric_alarm" "status" {
  for_each = length(var.alarm_actions) > 0 ? var.zones : {}

  alarm_name          = "${var.name}-${each.key}-status"
  alarm_description   = "The exeat appliance of zone ${each.key} fails EC2's status checks: its agents have no way out."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { AutoScalingGroupName = aws_autoscaling_group.zone[each.key].name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
