output "text" {
  description = "The user data, readable."
  value       = local.text
}

output "base64" {
  description = "The user data, packed."
  value       = base64gzip(local.text)
}

output "route_sources" {
  description = "The lines of the route's `source`."
  value       = local.route_sources
}
