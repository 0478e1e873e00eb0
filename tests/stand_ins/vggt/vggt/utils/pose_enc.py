import torch


def pose_encoding_to_extri_intri(pose_encoding, image_size_hw):
    """World-to-camera (1, S, 3, 4) and intrinsics (1, S, 3, 3) in px."""
    angle, place = pose_encoding[0, :, 0], pose_encoding[0, :, 1]
    height, width = image_size_hw
    poses, k = torch.zeros(1, len(angle), 3, 4), torch.zeros(1, len(angle), 3, 3)
    for index, (turn, right) in enumerate(zip(angle, place, strict=True)):
        cos, sin = torch.cos(turn), torch.sin(turn)
        to_world = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        poses[0, index, :, :3] = to_world.T
        poses[0, index, :, 3] = -to_world.T @ torch.tensor([right, 0, 0])
        k[0, index] = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]])
    return poses, k
