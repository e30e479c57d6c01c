# Makes an access token for the first administrator and prints it behind a
# marker, since Rails may print notices of its own.
user = User.find_by_username('root') || User.find_by(admin: true)
abort('there is no administrator') unless user
wanted = %w[api create_runner manage_runner admin_mode].map(&:to_sym)
scopes = wanted & Gitlab::Auth.all_available_scopes.map(&:to_sym)
token = user.personal_access_tokens.create!(name: 'hepta', scopes: scopes, expires_at: 30.days.from_now.to_date)
puts "HEPTA_TOKEN=#{token.token}"
puts "HEPTA_EXPIRES=#{token.expires_at}"
