# Makes an access token for an administrator and prints it behind a marker,
# since Rails may print notices of its own. Root may have another name by now,
# be blocked or gone: the first administrator counts whom the API lets in.
user = User.where(admin: true).order(:id).detect { |u| u.active? && u.can?(:access_api) }
abort('no administrator of the forge is active') unless user
wanted = %w[api create_runner manage_runner admin_mode].map(&:to_sym)
scopes = wanted & Gitlab::Auth.all_available_scopes.map(&:to_sym)
token = user.personal_access_tokens.create!(name: 'hepta', scopes: scopes, expires_at: 30.days.from_now.to_date)
puts "HEPTA_TOKEN=#{token.token}"
puts "HEPTA_EXPIRES=#{token.expires_at}"
